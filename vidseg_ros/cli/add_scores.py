# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""`vidseg inspect MODEL --add-scores`: how steady a model is, from an evaluation into its card."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
import hashlib
import json
from pathlib import Path
import shutil
from typing import Any, Final

from vidseg_ros.core.errors import SourceError
from vidseg_ros.core.model_card import Score
from vidseg_ros.inference.model_file import read_model, replaced_when_whole, write_card

_RESULTS: Final = 'results.json'
"""As in `vidseg_ros.evaluation.results`, which would load all that an evaluation needs."""

_METRICS: Final = {'tc': 'TC', 'vc8': 'VC8', 'vc16': 'VC16', 'flips_per_s': 'flips/s'}
"""Names in ``results.json``, and in a card."""


def add_scores(model: Path, results: Sequence[Path], note: str = '') -> None:
    """Write the temporal scores of evaluations into the card of the model file they are of.

    Scores with the same metric and protocol are replaced, all others stay.

    Args:
        model: The file; it is replaced at once.
        results: ``results.json`` of one or several ``vidseg evaluate``, or their folders.
        note: What to know of them all, such as that labels of these frames were learned.

    Raises:
        ModelError: If the file is none.
        SourceError: If results cannot be read, or are not of this very file.
        OutputError: If it cannot be written.
    """
    card = read_model(model).card
    digest = hashlib.sha256(model.read_bytes()).hexdigest()
    found = [score for path in results for score in _read(path, digest, note)]
    new = {(score.metric, score.protocol) for score in found}
    kept = [score for score in card.scores if (score.metric, score.protocol) not in new]
    with replaced_when_whole(model) as draft:
        shutil.copyfile(model, draft)
        write_card(draft, replace(card, scores=(*kept, *found)))


def _read(path: Path, digest: str, note: str) -> Iterator[Score]:
    path = path / _RESULTS if path.is_dir() else path
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding='utf-8'))
        keys = [item['key'] for item in content['models'] if item['sha256'] == digest]
        sources = content['sources']
    except (OSError, ValueError, LookupError, TypeError) as error:
        msg = f'{path} is no results.json of vidseg evaluate: {error}'
        raise SourceError(msg) from error
    if not keys:
        msg = f'{path} is not of this model file (SHA-256 {digest[:12]}…): evaluate it first'
        raise SourceError(msg)
    for source in sources:
        numbers = source['models'][keys[0]]
        protocol = f'vidseg evaluate, {source["key"]}, {source["frames"]} frames'
        for key, metric in _METRICS.items():
            if numbers.get(key) is not None:
                yield Score(metric=metric, value=numbers[key], protocol=protocol, note=note)
