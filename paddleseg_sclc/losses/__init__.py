"""Losses."""

from paddleseg_sclc.losses.dice_ce import DiceCELoss, dice_ce_loss

__all__ = ["DiceCELoss", "dice_ce_loss"]
