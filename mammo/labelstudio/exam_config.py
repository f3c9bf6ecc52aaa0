"""The labeling config of an exam: four views on one page, back to back, one outline per finding.

Label Studio 1.23 decides what it may contain:

* Label controls of one kind share a key, which serves every view.
* Drawing by hand has no key either: after it, the keys of the prompts work only when the smart tool of each view is
  chosen again.
* A view is shrunk rather than hidden: hiding one that a relation ends at breaks the editor.
* The style has neither `>` nor quotes, which Label Studio rewrites or reads as names of tags.
* The exam before this one is pictures of the page: a second row of Image tags costs as much again as the first. The
  picture that has the focus has its full size, and scrolls; of a right breast it begins at the chest wall.
"""

from __future__ import annotations

from collections.abc import Mapping

from mammo.exam_views import EXAM_TITLE, EXAM_VIEWS, PRIOR, ExamView
from mammo.findings import CLUSTER
from mammo.labelstudio.config_xml import NOTE_CONTROL
from mammo.labelstudio.descriptor_controls import TITLES, exam_controls, finding_controls
from mammo.labelstudio.relations import SAME_LESION
from mammo.labelstudio.shown_version import VERSION_CONTROL

HANGINGS = {"CC": "6", "MLO": "7", "R": "8", "L": "9"}
"""Key that enlarges the two views of a projection or of a breast; 5 shows all four alike."""

NO_KEY = "f19"
"""Key of choices that no key should make. It is the last function key that Label Studio knows; it reads F20 as F."""

_STYLE = """
    .exam .bar, .exam .row { display: flex; gap: 2px 20px; align-items: center; flex-wrap: wrap; }
    .exam .bar .lsf-choices, .exam .row .lsf-choices { margin: 0; }
    .exam .row sup, .exam .row .lsf-hint, .exam .draw .lsf-label__hotkey { display:none; }
    .exam .row i { color: #888; font-size: 11px; font-style: normal; }
    .exam .row .lsf-text-area { flex: 1 1 12em; margin: 0 !important; }
    .exam .bar h4, .exam .view h4, .exam .row h4 { margin: 0 !important; font-size: 15px; white-space: nowrap; }
    .exam .views { display: flex; gap: 2px; background: #000; }
    .exam .view { flex: 1 1 0; min-width: 0; background: #000; }
    .exam .view h4 { color: #222 !important; }
    .exam .ctl { display: flex; gap: 8px; align-items: center; height: 34px; padding: 0 6px; overflow: hidden;
      background: #f4f4f4; }
    .exam .ctl .lsf-labels { margin: 0; }
    @media (max-width: 1700px) {
      .exam .ctl { gap: 2px; padding: 0 2px; }
      .exam .ctl h4 { font-size: 11px; }
      .exam .ctl .lsf-label { padding: 0 3px; font-size: 12px; }
      .exam .ctl .lsf-label__hotkey { display:none; }
    }
    .exam .stage { position: relative; }
    .exam .prior { display:none; position: absolute; inset: 0; z-index: 5; background: #000; }
    .exam:has(.look input[name=prior]:checked) .prior { display: block; }
    body:has(.exam .look input[name=prior]:checked) .relations-overlay { visibility: hidden; }
    .exam .prior div { height: 100%; margin: 0; padding: 0; border: 0; }
    .exam .prior p { display: flex; gap: 2px; height: calc(100% - 24px); margin: 0; color: #eee; }
    .exam .prior p :is(img, i) { flex: 1 1 0; min-width: 0; object-fit: contain; }
    .exam .prior p :nth-child(odd) { object-position: right; }
    .exam .prior p :nth-child(even) { object-position: left; }
    .exam .prior:has(img:focus) { bottom: auto; height: calc(100vh - 310px); min-height: 100%; }
    .exam .prior p:has(img:focus) { display: block; overflow: auto; }
    .exam .prior p:has(img:nth-child(odd):focus) { direction: rtl; }
    .exam .prior p:has(img:focus) :not(:focus) { display:none; }
    .exam .prior p img:focus { max-width: none; outline: none; }
    .exam .prior b { color: #eee; }
    .exam:has(.look input[name=inverted]:checked) .prior img { filter: invert(1); }
    .exam .note { background: #fff3cd; }
    .exam .version div { min-height: 0 !important; margin: 0 !important; padding: 0 !important;
      border: 0 !important; background: none !important; }
    .exam .version button { display:none; }
    .exam .per { min-height: 34px; }
    .exam:has(.look input[name=inverted]:checked) .konvajs-content canvas:first-child { filter: invert(1); }
    .exam:has(.look input[name=contrast]:checked) .konvajs-content canvas:first-child {
      filter: contrast(2.2) brightness(1.3); }
    .exam:has(.look input[name=inverted]:checked):has(.look input[name=contrast]:checked)
      .konvajs-content canvas:first-child { filter: contrast(2.2) brightness(1.3) invert(1); }
"""


def exam_config(*, descriptors: bool = True) -> str:
    """Return the labeling config of projects whose tasks show an exam, as XML.

    Args:
        descriptors: with words for morphology, distribution and suspicion of each finding and a field for a comment,
            and words for density and assessment of the exam.
    """
    per_finding = [_finding_choices(view) for view in EXAM_VIEWS] if descriptors else []
    return "\n".join(
        [
            '<View className="exam">',
            f"  <Style>{_STYLE}{''.join(_shrink(each) for each in HANGINGS)}  </Style>",
            _bar(),
            '  <View className="stage">',
            '  <View className="views">',
            *(_view(view) for view in EXAM_VIEWS),
            "  </View>",
            f'  <View className="prior"><HyperText name="{PRIOR}" value="${PRIOR}" inline="true"/></View>',
            "  </View>",
            *(
                ['  <View className="per">', *per_finding, "  </View>", _exam_choices()]
                if descriptors
                else []
            ),
            f'  <Relations><Relation value="{SAME_LESION}"/></Relations>',
            "</View>",
            "",
        ]
    )


def _enlarges(hanging: str, view: ExamView) -> bool:
    return hanging in (view.laterality, view.view)


def _shrink(hanging: str) -> str:
    """Return the rules that shrink the views which a hanging does not enlarge, and hide those of the earlier exam."""
    others = [each for each in enumerate(EXAM_VIEWS, start=1) if not _enlarges(hanging, each[1])]
    chosen = f"    .exam:has(.layout input[name={hanging}]:checked)"
    views = f"{chosen} :is({', '.join(f'.view-{view.name}' for _, view in others)})"
    pictures = f"{chosen} .prior p :is({', '.join(f':nth-child({place})' for place, _ in others)})"
    return (
        f"{views} {{ flex: 0 0 110px; order: 2; }}\n"
        f"{views} :is(.lsf-labels, .lsf-toolbar) {{ visibility: hidden; }}\n"
        f"{views} h4 {{ font-size: 11px; }}\n"
        f"{pictures} {{ display:none; }}\n"
    )


def _bar() -> str:
    """Return the header: the exam, and the choices that change how it is shown and mean nothing."""
    first = EXAM_VIEWS[0].name
    hangings = "".join(
        f'<Choice value="{name}" hotkey="{key}"/>' for name, key in {"all": "5", **HANGINGS}.items()
    )
    return f"""  <View className="bar">
    <Header size="5" value="${EXAM_TITLE}"/>
    <View className="version">
      <TextArea name="{VERSION_CONTROL}" toName="{first}" editable="false" maxSubmissions="0"/>
    </View>
    <View className="layout">
      <Choices name="hanging" toName="{first}" choice="single-radio" showInline="true">{hangings}</Choices>
    </View>
    <View className="look">
      <Choices name="look" toName="{first}" choice="multiple" showInline="true">
        <Choice value="inverted" hotkey="i"/><Choice value="contrast" hotkey="u"/>
        <Choice value="{PRIOR}" hotkey="0"/>
      </Choices>
    </View>
  </View>"""


def _view(view: ExamView) -> str:
    """Return the controls and the image of one view; chest walls meet in the middle of each pair."""
    name, wall = view.name, "right" if view.laterality == "R" else "left"
    return f"""    <View className="view view-{name}">
      <View className="ctl">
        <Header size="5" value="${view.title_key}"/>
        <KeyPointLabels name="ask-{name}" toName="{name}" smart="true" smartOnly="true">
          <Label value="{CLUSTER}" html="Ask" background="#2f6fde" hotkey="1" model_index="0"/>
        </KeyPointLabels>
        <RectangleLabels name="askbox-{name}" toName="{name}" smart="true" smartOnly="true">
          <Label value="{CLUSTER}" html="Box" background="#2f6fde" hotkey="2"/>
        </RectangleLabels>
        <View className="draw">
          <PolygonLabels name="outline-{name}" toName="{name}" smart="false" strokeWidth="2" opacity="0"
            pointSize="small">
            <Label value="{CLUSTER}" html="Draw" background="#ffb000" hotkey="{NO_KEY}"/>
          </PolygonLabels>
        </View>
      </View>
      <Image name="{name}" value="${view.key}" zoom="true" zoomBy="1.3" zoomControl="true" brightnessControl="true"
        contrastControl="true" horizontalAlignment="{wall}" maxHeight="calc(100vh - 310px)"/>
      <View className="note">
        <TextArea name="{NOTE_CONTROL}-{name}" toName="{name}" editable="false" maxSubmissions="0"/>
      </View>
    </View>"""


def _finding_choices(view: ExamView) -> str:
    """Return the descriptors of the selected finding of one view."""
    controls = finding_controls(view.name, suffix=f"-{view.name}")
    # Of morphology and distribution, the words say which is which.
    lines = _lines(controls, titles={"suspicion": TITLES["suspicion"]})
    return f"""    <View visibleWhen="region-selected" whenTagName="outline-{view.name}" className="row">
{lines}
    </View>"""


def _exam_choices() -> str:
    """Return the descriptors of the exam."""
    return f"""  <View className="row">
{_lines(exam_controls(EXAM_VIEWS[0].name), titles=TITLES)}
  </View>"""


def _lines(controls: Mapping[str, str], *, titles: Mapping[str, str]) -> str:
    return "\n".join(
        (f'      <Header size="5" value="{titles[name]}"/>\n' if name in titles else "") + f"      {control}"
        for name, control in controls.items()
    )
