"""The labeling config of one image: prompts and findings in a column beside it, with words about the selected one.

Findings are drawn with the result controls (outline, mask, box, point). Prompts for the model have controls of their
own, which are `smartOnly`, so the remains of a prompt are never taken for an annotation. A negative click is Alt +
click with the same label, because Label Studio does not send two labels at once.
"""

from __future__ import annotations

from collections.abc import Mapping

from mammo.exam_views import PSEUDONYM
from mammo.findings import CLUSTER
from mammo.labelstudio.config_xml import NOTE_CONTROL
from mammo.labelstudio.descriptor_controls import TITLES, exam_controls, finding_controls

PROMPT_CONTROLS = ("prompt-point", "prompt-box")

_CONFIG = f"""<View style="display: flex;">
  <View style="flex: 0 0 {{width}}; margin-right: 1em;">
    <Header size="6" value="${PSEUDONYM}"/>
    <Header size="6" value="Ask the model"/>
    <KeyPointLabels name="prompt-point" toName="image" smart="true" smartOnly="true">
      <Label value="{CLUSTER}" html="Click" hint="Pink point tool: 1, then click. Alt: not here. Ctrl: in a box."
        background="#2f6fde" hotkey="1" model_index="0"/>
    </KeyPointLabels>
    <RectangleLabels name="prompt-box" toName="image" smart="true" smartOnly="true">
      <Label value="{CLUSTER}" html="Box" hint="With the pink box tool: 2, then draw."
        background="#2f6fde" hotkey="2"/>
    </RectangleLabels>
    <Header size="6" value="Findings"/>
    <RectangleLabels name="box" toName="image" smart="false" strokeWidth="2" opacity="0">
      <Label value="{CLUSTER}" html="Box" background="#f2a33a" hotkey="3"/>
    </RectangleLabels>
    <BrushLabels name="mask" toName="image" smart="false">
      <Label value="{CLUSTER}" html="Mask" background="#e4572e" hotkey="4"/>
    </BrushLabels>
    <PolygonLabels name="outline" toName="image" smart="false" strokeWidth="2" opacity="0">
      <Label value="{CLUSTER}" html="Outline" background="#e4572e" hotkey="5"/>
    </PolygonLabels>
    <KeyPointLabels name="point" toName="image" smart="false" strokeWidth="2">
      <Label value="{CLUSTER}" html="Point" background="#34a06b" hotkey="6" model_index="0"/>
    </KeyPointLabels>
{{words}}    <TextArea name="{NOTE_CONTROL}" toName="image" editable="false" maxSubmissions="0"/>
  </View>
  <View style="flex: 1 1 auto; min-width: 0;">
    <Image name="image" value="$image" zoom="true" zoomControl="true" brightnessControl="true" contrastControl="true"/>
  </View>
</View>
"""
# `html` is the displayed text; the label itself is `Cluster` in every control. Controls are smart by default, and a
# smart control for findings would send a drawn region to the model and then remove it, hence smart="false". Opacity 0
# keeps the lesion visible inside its region. maxSubmissions="0" hides the input field of the note. A task without a
# pseudonym has an empty header: Label Studio requires no key of a tag without a name.


_STYLE = """    <Style>
    .words .lsf-choices, .words .lsf-text-area { margin: 0 0 6px; }
    .words .lsf-choices_layout_inline { flex-wrap: wrap; }
    .words .lsf-choice { flex: 0 0 100%; margin: 0; line-height: 18px; }
    .words sup, .words .lsf-hint { display:none; }
    .words i { color: #888; font-size: 11px; font-style: normal; }
    </Style>
"""


def image_config(*, descriptors: bool = True) -> str:
    """Return the labeling config of projects whose tasks show one image, as XML.

    Args:
        descriptors: with words for morphology, distribution and suspicion of the selected finding and a field for a
            comment and, while none is selected, words for density and assessment of the exam.
    """
    if not descriptors:
        return _CONFIG.format(width="8em", words="")
    words = (
        _STYLE
        + _shown_when("region-selected", finding_controls("image"))
        + _shown_when("no-region-selected", exam_controls("image"))
    )
    return _CONFIG.format(width="11em", words=words)


def _shown_when(condition: str, controls: Mapping[str, str]) -> str:
    lines = "".join(
        f'      <Header size="6" value="{TITLES[name]}"/>\n      {control}\n'
        for name, control in controls.items()
    )
    return f'    <View visibleWhen="{condition}" className="words">\n{lines}    </View>\n'
