from __future__ import annotations

from pathlib import Path

import highdicom as hd
import numpy as np
import pydicom
from pydicom.sr.codedict import codes

from mammo.findings import CLUSTER, Finding
from mammo.geometry import Box
from tests.mammo.dicom.files import mammogram_file, with_elements
from tests.mammo.dicom.reports.documents import finding, instance, read, write
from tests.mammo.dicom.validator import assert_valid

BOX = Finding(label=CLUSTER, score=1, box=Box(1, 2, 11, 8), id="box")


def test_highdicom_reads_the_same_finding(tmp_path: Path) -> None:
    path = write(tmp_path / "a.dcm", "measurements", finding(morphology="amorphous", distribution="linear"))
    (group,) = hd.sr.srread(path).content.get_planar_roi_measurement_groups()
    assert (group.tracking_identifier, group.finding_type) == ("f1", codes.SCT.CalcificationCluster)
    (site,) = group.finding_sites
    assert (site.value, site.laterality) == (codes.SCT.Breast, codes.SCT.Left)
    values = {each.name.meaning: (each.value, each.unit.value) for each in group.get_measurements()}
    assert values["Number of calcifications"] == (7, "1")
    assert values["Width"] == (8 * 0.07, "mm")
    assert values["Height"] == (round(7 * 0.07, 4), "mm")
    assert values["Long axis"][0] > values["Width"][0]
    words = {each.name.meaning: each.value for each in group.get_qualitative_evaluations()}
    assert words["Calcification Type"] == codes.SCT.AmorphousCalcification
    assert words["Calcification Distribution"] == codes.SCT.LinearCalcificationDistribution
    assert group.roi is not None
    np.testing.assert_array_equal(group.roi.value[0], group.roi.value[-1])
    assert group.roi.ContentSequence[0].referenced_sop_instance_uid == instance(mammogram_file())


def test_a_box_without_an_outline_comes_back_as_a_box(tmp_path: Path) -> None:
    path = write(tmp_path / "a.dcm", "measurements", BOX, finding())
    assert_valid(path, "ComprehensiveSR")
    box, outlined = read(path).findings
    assert (box.finding.box, box.finding.mask, box.longest_mm) == (BOX.box, None, None)
    assert outlined.finding.mask is not None


def test_sizes_are_in_the_breast_and_left_out_where_the_spacing_is_unknown(tmp_path: Path) -> None:
    magnified = with_elements(EstimatedRadiographicMagnificationFactor="1.75")
    (found,) = read(
        write(tmp_path / "a.dcm", "measurements", BOX, source=magnified), source=magnified
    ).findings
    assert found.width_mm == round(10 * 0.07 / 1.75, 4)
    unknown = with_elements(ImagerPixelSpacing=None, ViewCodeSequence=None, ImageLaterality=None)
    path = write(tmp_path / "b.dcm", "measurements", BOX, source=unknown, num_calcifications=[None])
    assert_valid(path, "ComprehensiveSR")
    (found,) = read(path, source=unknown).findings
    assert (found.width_mm, found.laterality, found.num_calcifications) == (None, None, None)


def test_a_pseudonym_is_no_two_part_name(tmp_path: Path) -> None:
    path = write(tmp_path / "a.dcm", "measurements", finding())
    names = [item.PersonName for item in pydicom.dcmread(path).ContentSequence if item.ValueType == "PNAME"]
    assert names == ["annotator-0a1b2c3d^"]
