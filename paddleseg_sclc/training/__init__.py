"""Training: config -> components -> run folder."""
