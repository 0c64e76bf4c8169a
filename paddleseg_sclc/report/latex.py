"""The table as LaTeX, for booktabs."""

from paddleseg_sclc.report.comparison import Table
from paddleseg_sclc.report.grids import PAPER_BLOCK, Grid, grids

_ESCAPES = str.maketrans(
    {c: f"\\{c}" for c in "&%$#_{}"}
    | {"~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "\\": r"\textbackslash{}"}
    | {"µ": r"\textmu{}", "±": r"$\pm$", "…": r"\ldots{}"}
)


def escape(text: str) -> str:
    """Text whose special characters LaTeX prints."""
    return text.translate(_ESCAPES)


def format_latex(table: Table) -> str:
    """A table environment a grid; intervals stand small below the figures."""
    caption = escape(" ".join(table.method()))
    parts = ["% needs \\usepackage{booktabs,graphicx,textcomp}"]
    parts += [_environment(grid, caption if i == 0 else "") for i, grid in enumerate(grids(table))]
    return "\n\n".join(parts) + "\n"


def _environment(grid: Grid, more: str) -> str:
    own = len(grid.headers) - grid.paper
    columns = "l" + "r" * (own - 1) + ("|" + "r" * grid.paper if grid.paper else "")
    lines = [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{escape(grid.title)}. {more}}}",
        r"\resizebox{\textwidth}{!}{%",
        rf"\begin{{tabular}}{{{columns}}}",
        r"\toprule",
    ]
    if grid.paper:
        marked = rf"\multicolumn{{{grid.paper}}}{{c}}{{{PAPER_BLOCK}}}"
        lines.append(rf"\multicolumn{{{own}}}{{c|}}{{measured}} & {marked} \\")
    lines += [" & ".join(map(escape, grid.headers)) + r" \\", r"\midrule"]
    lines += [" & ".join(map(_cell, cells)) + r" \\" for cells in grid.cells]
    lines += [r"\bottomrule", r"\end{tabular}}", r"\end{table}"]
    return "\n".join(lines)


def _cell(text: str) -> str:
    value, _, interval = text.partition("\n")
    if not interval:
        return escape(value)
    return rf"\shortstack[r]{{{escape(value)}\\{{\tiny {escape(interval)}}}}}"
