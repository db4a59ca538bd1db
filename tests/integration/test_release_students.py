"""Every student of the catalogue: lowered without a changed bit, and equal to PyTorch within a thousandth."""

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from eyebright_learning.models import STUDENTS, build_student
from eyebright_server.release.export import export_student
from eyebright_server.release.gate import PARITY_LIMIT
from eyebright_server.release.parity import measure_parity
from eyebright_server.release.reference_runtime import ReferenceRuntime

SIZE = 96


def trained_looking(name: str):
    """A student whose batch statistics, shifts and head are not those of a fresh one."""
    student = build_student(name, classes=4, seed=0)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for module in student.modules():
            if isinstance(module, nn.BatchNorm2d):
                nn.init.normal_(module.bias, std=0.1, generator=generator)
                module.momentum = None
        nn.init.normal_(student.head.weight, std=0.3, generator=generator)
        nn.init.normal_(student.head.bias, generator=generator)
        student.train()(torch.rand(8, 3, SIZE, SIZE, generator=generator) * 255)
    return student.eval()


@pytest.mark.slow
@pytest.mark.parametrize("name", STUDENTS)
def test_a_student_is_exported_exactly(name: str) -> None:
    student = trained_looking(name)
    exported = export_student(student, image_size=SIZE)
    lowered, source = ReferenceRuntime(exported.data), ReferenceRuntime(exported.unlowered)
    pixels = np.random.default_rng(0).integers(0, 256, (3, 3, SIZE, SIZE), dtype=np.uint8)
    for picture in pixels[:, None].astype(np.float32):
        for ours, theirs in zip(lowered.run(picture), source.run(picture), strict=True):
            np.testing.assert_array_equal(ours, theirs)
    parity = measure_parity(student, lowered, pixels)
    assert parity.max_abs_logit_difference <= PARITY_LIMIT
    written = onnx.load_model_from_string(exported.data)
    assert (written.opset_import[0].version, written.ir_version) == (13, 7)
    assert set(exported.weight_names) > {n for n in student.state_dict() if n.startswith(student.head_prefix)}
