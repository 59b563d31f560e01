# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
import json
import os
from pathlib import Path
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from transformers import (
    BertConfig,
    BertModel,
    SegformerConfig,
    SegformerForSemanticSegmentation,
)

from vidseg_ros.core.errors import SourceError
from vidseg_training.networks import normalise
from vidseg_training.networks.hugging_face import HuggingFaceNetwork, load_hugging_face

_PREPROCESSING = {
    'do_resize': True,
    'do_rescale': True,
    'rescale_factor': 1 / 255,
    'do_normalize': True,
    'image_mean': [0.5, 0.4, 0.3],
    'image_std': [0.5, 0.25, 0.2],
}


@pytest.fixture(scope='module')
def segformer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a SegFormer with random weights and three classes."""
    folder = tmp_path_factory.mktemp('segformer')
    torch.manual_seed(0)
    config = SegformerConfig(
        depths=[1, 1, 1, 1],
        hidden_sizes=[4, 4, 8, 8],
        num_attention_heads=[1, 1, 2, 2],
        decoder_hidden_size=8,
        id2label={0: 'road', 1: 'traffic light', 2: 'sky'},
    )
    SegformerForSemanticSegmentation(config).save_pretrained(folder)
    text = json.dumps(_PREPROCESSING)
    (folder / 'preprocessor_config.json').write_text(text, encoding='utf-8')
    return folder


def _pictures() -> torch.Tensor:
    pixels = np.random.default_rng(0).integers(0, 256, (2, 3, 64, 96), np.uint8)
    return torch.from_numpy(pixels)


def test_images_reach_the_model_as_it_wants_them(segformer: Path) -> None:
    network = load_hugging_face(str(segformer))
    assert network.names == ('road', 'traffic light', 'sky')
    model = SegformerForSemanticSegmentation.from_pretrained(segformer).eval()
    mean, std = (
        torch.tensor(_PREPROCESSING[key]).view(3, 1, 1) for key in ('image_mean', 'image_std')
    )
    with torch.inference_mode():
        expected = model(pixel_values=(_pictures() / 255 - mean) / std).logits
        logits = network(normalise(_pictures()))
    assert logits.shape == (2, 3, 16, 24)
    torch.testing.assert_close(logits, expected, rtol=1e-3, atol=1e-5)


class _Echo(torch.nn.Module):
    def forward(self, pixel_values: torch.Tensor) -> '_Echo':
        self.logits = pixel_values
        return self


@pytest.mark.parametrize(
    ('preprocessing', 'expected'),
    [
        ({'do_rescale': False, 'do_normalize': False}, [10, 20, 30]),
        ({'do_normalize': False}, [10 / 255, 20 / 255, 30 / 255]),
        ({'do_normalize': False, 'do_flip_channel_order': True}, [30 / 255, 20 / 255, 10 / 255]),
        ({'rescale_factor': 0.1, 'image_mean': [1, 1, 1], 'image_std': [1, 2, 4]}, [0, 0.5, 0.5]),
    ],
)
def test_preprocessing_is_that_of_the_model(
    preprocessing: dict[str, object], expected: list[float]
) -> None:
    image = torch.tensor([10, 20, 30], dtype=torch.uint8).view(1, 3, 1, 1)
    logits = HuggingFaceNetwork(_Echo(), ['a'], preprocessing)(normalise(image))
    wanted = torch.tensor(expected, dtype=torch.float32)
    torch.testing.assert_close(logits.flatten(), wanted, rtol=1e-4, atol=1e-5)


def test_the_checksum_is_that_of_the_weights(segformer: Path, tmp_path: Path) -> None:
    network = load_hugging_face(str(segformer))
    copy = shutil.copytree(segformer, tmp_path / 'copy')
    assert load_hugging_face(str(copy)).checksum == network.checksum
    model = SegformerForSemanticSegmentation.from_pretrained(copy)
    with torch.no_grad():
        next(model.parameters())[:1] += 1
    model.save_pretrained(copy)
    assert load_hugging_face(str(copy)).checksum != network.checksum


@pytest.mark.parametrize(
    'change',
    [
        {'image_mean': [0.5, 0.4, 0.31]},
        {'image_std': [0.5, 0.25, 0.21]},
        {'rescale_factor': 1 / 128},
        {'do_flip_channel_order': True},
    ],
)
def test_the_checksum_is_that_of_the_colours_as_well(change: dict[str, object]) -> None:
    """The same weights that see other pixels say something else."""
    one, same, other = (
        HuggingFaceNetwork(_Echo(), ['a'], preprocessing).checksum
        for preprocessing in (_PREPROCESSING, {**_PREPROCESSING}, {**_PREPROCESSING, **change})
    )
    assert one == same != other


def test_a_name_on_the_hub_is_found_where_it_was_kept(segformer: Path, tmp_path: Path) -> None:
    """Without the network, out of the cache that an earlier call has filled."""
    kept = tmp_path / 'hub' / 'models--maker--tiny'
    shutil.copytree(segformer, kept / 'snapshots' / 'abc')
    (kept / 'refs').mkdir()
    (kept / 'refs' / 'main').write_text('abc', encoding='utf-8')
    code = (
        'from vidseg_training.networks.hugging_face import load_hugging_face\n'
        'print(load_hugging_face("maker/tiny").names)'
    )
    environment = {**os.environ, 'HF_HUB_CACHE': str(tmp_path / 'hub'), 'HF_HUB_OFFLINE': '1'}
    done = subprocess.run(
        [sys.executable, '-c', code],
        env=environment,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.stdout == "('road', 'traffic light', 'sky')\n", done.stderr


def test_code_that_comes_with_a_model_is_not_run(segformer: Path, tmp_path: Path) -> None:
    """Also where a prompt would be answered by yes."""
    folder, sprung = shutil.copytree(segformer, tmp_path / 'own'), tmp_path / 'sprung'
    settings = json.loads((folder / 'config.json').read_text(encoding='utf-8'))
    settings |= {
        'model_type': 'trap',
        'auto_map': {
            'AutoConfig': 'trap.TrapConfig',
            'AutoModelForSemanticSegmentation': 'trap.Trap',
        },
    }
    (folder / 'config.json').write_text(json.dumps(settings), encoding='utf-8')
    code = f'from pathlib import Path\nPath({str(sprung)!r}).touch()\n'
    (folder / 'trap.py').write_text(code, encoding='utf-8')
    environment = {**os.environ, 'HF_HOME': str(tmp_path / 'home'), 'HF_HUB_OFFLINE': '1'}
    script = (
        'import sys\n'
        'from vidseg_training.networks.hugging_face import load_hugging_face\n'
        'load_hugging_face(sys.argv[1])'
    )
    done = subprocess.run(
        [sys.executable, '-c', script, str(folder)],
        env=environment,
        input='y\n',
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 1
    assert 'SourceError: cannot open' in done.stderr
    assert not sprung.exists()


def test_what_is_no_segmentation_model_is_refused(segformer: Path, tmp_path: Path) -> None:
    message = r'cannot open .*: .*; give a folder that save_pretrained wrote'
    with pytest.raises(SourceError, match=message):
        load_hugging_face(str(tmp_path / 'nowhere'))
    bare = shutil.copytree(segformer, tmp_path / 'bare')
    (bare / 'preprocessor_config.json').unlink()
    with pytest.raises(SourceError, match='preprocessor_config'):
        load_hugging_face(str(bare))
    cut = shutil.copytree(segformer, tmp_path / 'cut')
    (cut / 'model.safetensors').write_bytes((cut / 'model.safetensors').read_bytes()[:-100])
    with pytest.raises(SourceError, match=r'cannot open .*cut'):
        load_hugging_face(str(cut))
    pickled = shutil.copytree(segformer, tmp_path / 'pickled')
    (pickled / 'model.safetensors').unlink()
    model = SegformerForSemanticSegmentation.from_pretrained(segformer)
    torch.save(model.state_dict(), pickled / 'pytorch_model.bin')
    with pytest.raises(SourceError, match=r'cannot open .*pickled.*safetensors'):
        load_hugging_face(str(pickled))
    config = BertConfig(
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=1,
        intermediate_size=8,
        vocab_size=10,
    )
    BertModel(config).save_pretrained(tmp_path / 'bert')
    with pytest.raises(SourceError, match='Unrecognized configuration class'):
        load_hugging_face(str(tmp_path / 'bert'))


def test_without_transformers_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, 'transformers', None)
    with pytest.raises(SourceError, match=r'vidseg-training\[huggingface\]'):
        load_hugging_face('maker/tiny')
