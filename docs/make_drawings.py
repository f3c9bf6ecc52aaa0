"""The drawings of docs/: boxes on a grid, and arrows between them. `make pages` writes them as SVG."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from pathlib import Path

FOLDER = Path(__file__).parent / "drawings"
COLUMN, ROW = 66, 44
"""Size of a grid cell in pixels."""

FILLS = {"data": "#fff6d6", "ours": "#dfe6fb", "network": "#d9f2e4", "theirs": "#f1f1f1", "person": "#fbe3dc"}
"""Colour by kind of box: data, own process or module, network, other program, work of a person."""

STYLE = (
    "text{font:14px sans-serif;fill:#1c1c1c;text-anchor:middle}"
    ".small{font-size:12px;fill:#444}rect{stroke:#555;stroke-width:1.2}"
    "path{stroke:#555;stroke-width:1.6;fill:none;marker-end:url(#tip)}.dashed{stroke-dasharray:5 4}"
)
TIP = (
    '<marker id="tip" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" markerHeight="7" orient="auto">'
    '<polygon points="0,0 10,5 0,10" fill="#555"/></marker>'
)


@dataclass(frozen=True)
class Block:
    """A box: position and size in grid cells, and lines of text, of which the first is large."""

    x: float
    y: float
    width: float
    height: float
    text: str
    kind: str = "ours"

    @property
    def middle(self) -> tuple[float, float]:
        return (self.x + self.width / 2) * COLUMN, (self.y + self.height / 2) * ROW

    def svg(self) -> str:
        x, y = self.middle
        lines = self.text.split("\n")
        first = y + 5 - 8 * (len(lines) - 1)
        texts = [
            f'<text x="{x:g}" y="{first + 16 * number:g}" class="{"small" if number else ""}">{escape(line)}</text>'
            for number, line in enumerate(lines)
        ]
        place = f'x="{self.x * COLUMN:g}" y="{self.y * ROW:g}"'
        size = f'width="{self.width * COLUMN:g}" height="{self.height * ROW:g}"'
        return f'<rect {place} {size} rx="7" fill="{FILLS[self.kind]}"/>' + "".join(texts)


@dataclass(frozen=True)
class Arrow:
    """An arrow between the edges of two blocks; horizontal or vertical if the blocks overlap in that direction."""

    start: str
    end: str
    text: str = ""
    dashed: bool = False

    def svg(self, blocks: dict[str, Block]) -> str:
        one, other = blocks[self.start], blocks[self.end]
        x0, x1 = _ends(one.x, one.width, other.x, other.width)
        y0, y1 = _ends(one.y, one.height, other.y, other.height)
        x0, x1, y0, y1 = x0 * COLUMN, x1 * COLUMN, y0 * ROW, y1 * ROW
        style = ' class="dashed"' if self.dashed else ""
        drawn = f'<path d="M{x0:g} {y0:g}L{x1:g} {y1:g}"{style}/>'
        if self.text:
            beside = (8, 4, ' style="text-anchor:start"') if x0 == x1 else (0, -6, "")
            x, y = (x0 + x1) / 2 + beside[0], (y0 + y1) / 2 + beside[1]
            drawn += f'<text class="small" x="{x:g}" y="{y:g}"{beside[2]}>{escape(self.text)}</text>'
        return drawn


def _ends(start: float, length: float, other: float, other_length: float) -> tuple[float, float]:
    """Return start and end of an arrow along one axis: facing edges, or the middle of the overlap."""
    if start + length <= other:
        return start + length, other
    if other + other_length <= start:
        return start, other + other_length
    middle = (max(start, other) + min(start + length, other + other_length)) / 2
    return middle, middle


Drawing = tuple[str, dict[str, Block], list[Arrow]]

WALK: Drawing = (
    "The walk of the data: from a DICOM file to the model that prelabels the next one",
    {
        "dicom": Block(0, 0, 2.6, 1.6, "1 DICOM\n12-16 bit", "data"),
        "detector": Block(3.6, 0, 2.6, 1.6, "2 CBAM-YOLOv8\nboxes", "network"),
        "prompts": Block(7.2, 0, 2.6, 1.6, "3 Prompts\nbrightest points"),
        "segmenter": Block(10.8, 0, 2.6, 1.6, "4 MLSAM\nmasks", "network"),
        "regions": Block(10.8, 2.8, 2.6, 1.6, "5 Regions\none per finding"),
        "studio": Block(10.8, 5.6, 2.6, 1.6, "Label Studio\nexperts correct", "person"),
        "store": Block(7.2, 5.6, 2.6, 1.6, "8 Annotations\nappend-only"),
        "dataset": Block(3.6, 5.6, 2.6, 1.6, "9 Dataset version\nsplit by patient", "data"),
        "training": Block(0, 5.6, 2.6, 1.6, "10 Fine-tuning\nboth networks", "network"),
        "gate": Block(0, 2.8, 2.6, 1.6, "11 Gate\nbetter on unseen patients?"),
        "registry": Block(3.6, 2.8, 2.6, 1.6, "12 Registry\nchampion"),
    },
    [
        Arrow("dicom", "detector"),
        Arrow("detector", "prompts"),
        Arrow("prompts", "segmenter"),
        Arrow("segmenter", "regions"),
        Arrow("regions", "studio", "6 prediction"),
        Arrow("studio", "store", "7 webhook"),
        Arrow("store", "dataset"),
        Arrow("dataset", "training"),
        Arrow("training", "gate"),
        Arrow("gate", "registry", "promote"),
        Arrow("registry", "detector", "13 hot reload"),
    ],
)

PROCESSES: Drawing = (
    "The processes and what they share",
    {
        "browser": Block(0, 0, 2.8, 1.4, "Browser\nan annotator", "person"),
        "studio": Block(4.2, 0, 3, 1.4, "Label Studio\nprojects, tasks", "theirs"),
        "backend": Block(8.9, 0, 4.2, 1.4, "Backend: yolo-mlsam serve\npredictions, clicks, inbox"),
        "supervisor": Block(0, 2.8, 2.8, 1.4, "yolo-mlsam work\nsupervises"),
        "workers": Block(4.2, 2.8, 3, 1.4, "Workers\none per GPU, one more"),
        "redis": Block(8.4, 2.8, 2.3, 1.4, "Redis\nqueue, messages", "theirs"),
        "shared": Block(
            4.2, 5.6, 8.9, 1.4, "Shared\ndatabase · blobs by SHA-256 · DICOM folder, read only", "data"
        ),
    },
    [
        Arrow("browser", "studio"),
        Arrow("studio", "backend", "HTTP"),
        Arrow("backend", "redis", "enqueues"),
        Arrow("redis", "workers", "jobs"),
        Arrow("workers", "studio", "predictions"),
        Arrow("supervisor", "workers", "starts"),
        Arrow("workers", "shared"),
        Arrow("backend", "shared"),
    ],
)

DETECTOR: Drawing = (
    "CBAM-YOLOv8: attention behind two feature layers of the backbone",
    {
        "image": Block(0, 0, 1.9, 1.4, "Image\nH x W", "data"),
        "stem": Block(2.5, 0, 2, 1.4, "Conv, Conv\nC2f (2)", "network"),
        "cbam1": Block(5.1, 0, 1.7, 1.4, "CBAM\neq. 4-11", "ours"),
        "middle": Block(7.4, 0, 2, 1.4, "Conv\nC2f (4)", "network"),
        "cbam2": Block(10, 0, 1.7, 1.4, "CBAM\neq. 4-11", "ours"),
        "rest": Block(10, 2.4, 1.7, 1.4, "C2f, SPPF\nlayers 5-9", "network"),
        "neck": Block(7.4, 2.4, 2, 1.4, "Neck\nthree scales", "network"),
        "head": Block(5.1, 2.4, 1.7, 1.4, "Head\nboxes, score", "network"),
        "boxes": Block(2.5, 2.4, 2, 1.4, "Boxes\none class", "data"),
    },
    [
        Arrow("image", "stem"),
        Arrow("stem", "cbam1"),
        Arrow("cbam1", "middle"),
        Arrow("middle", "cbam2"),
        Arrow("cbam2", "rest"),
        Arrow("cbam2", "neck"),
        Arrow("rest", "neck"),
        Arrow("neck", "head"),
        Arrow("head", "boxes"),
    ],
)

SEGMENTER: Drawing = (
    "MLSAM: features of three depths are fused with the mask decoder's output",
    {
        "roi": Block(0, 0, 2, 1.4, "Region\nof the image", "data"),
        "early": Block(2.8, 0, 2.2, 1.4, "ViT blocks\nearly", "network"),
        "mid": Block(5.8, 0, 2.2, 1.4, "ViT blocks\nmiddle", "network"),
        "late": Block(8.8, 0, 2.2, 1.4, "ViT blocks\nfinal", "network"),
        "up1": Block(2.8, 2.4, 2.2, 1.2, "Upsample\ntransposed conv."),
        "up2": Block(5.8, 2.4, 2.2, 1.2, "Upsample\ncompress_mid_feat"),
        "up3": Block(8.8, 2.4, 2.2, 1.2, "Upsample\ntransposed conv."),
        "prompts": Block(0, 6.8, 2, 1.4, "Prompts\npoints, box", "data"),
        "decoder": Block(2.8, 6.8, 2.2, 1.4, "Mask decoder\nwith HQ token", "network"),
        "fusion": Block(5.8, 4.6, 2.2, 1.2, "Global fusion\nsum"),
        "mask": Block(8.8, 6.8, 2.2, 1.4, "Mask\nlogits", "data"),
        "product": Block(5.8, 6.8, 2.2, 1.4, "HQ token · features\nplus SAM's mask"),
    },
    [
        Arrow("roi", "early"),
        Arrow("early", "mid"),
        Arrow("mid", "late"),
        Arrow("early", "up1"),
        Arrow("mid", "up2"),
        Arrow("late", "up3"),
        Arrow("up1", "fusion"),
        Arrow("up2", "fusion"),
        Arrow("up3", "fusion"),
        Arrow("prompts", "decoder"),
        Arrow("decoder", "fusion"),
        Arrow("decoder", "product"),
        Arrow("fusion", "product"),
        Arrow("product", "mask"),
    ],
)


def svg(drawing: Drawing) -> str:
    """Return one drawing as SVG."""
    title, blocks, arrows = drawing
    width = max(block.x + block.width for block in blocks.values()) * COLUMN
    height = max(block.y + block.height for block in blocks.values()) * ROW
    body = [arrow.svg(blocks) for arrow in arrows] + [block.svg() for block in blocks.values()]
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="-4 -4 {width + 8:g} {height + 8:g}" role="img">'
    # White below, since GitHub and the site have a dark mode too.
    ground = f'<rect x="-4" y="-4" width="{width + 8:g}" height="{height + 8:g}" fill="#ffffff" style="stroke:none"/>'
    lines = [
        head,
        f"<title>{escape(title)}</title><style>{STYLE}</style><defs>{TIP}</defs>",
        ground,
        *body,
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def drawings() -> dict[Path, str]:
    """Return every drawing, by its file."""
    named = {"walk": WALK, "processes": PROCESSES, "detector": DETECTOR, "segmenter": SEGMENTER}
    return {FOLDER / f"{name}.svg": svg(drawing) for name, drawing in named.items()}
