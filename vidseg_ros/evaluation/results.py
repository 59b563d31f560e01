# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""The results of an evaluation as files: results.json and results.csv, see docs/evaluation.md."""

from collections.abc import Iterable, Mapping, Sequence
import csv
import hashlib
import json
from pathlib import Path
import shutil
from typing import Any, Final

from vidseg_ros.core.errors import OutputError
from vidseg_ros.core.fleet.record import RECORD
from vidseg_ros.core.labels import LabelSet
from vidseg_ros.evaluation.class_mapping import never_predicted
from vidseg_ros.evaluation.evaluate import EvaluationSettings, kept_result, SourceJob, SOURCES
from vidseg_ros.evaluation.results_folder import mark_folder, MARKER, write_json
from vidseg_ros.evaluation.source_evaluation import MODEL_KEYS, SourceResult
from vidseg_ros.evaluation.tally import ModelTally
from vidseg_ros.inference.model_file import read_model

SCHEMA: Final = 'vidseg.results/2'
RESULTS: Final = 'results.json'
TABLE: Final = 'results.csv'
REPORT: Final = 'report.html'
RUN: Final = 'run.json'
"""What the run in a folder is about, from its start on."""

_SCORES: Final = (
    *('miou', 'accuracy', 'tc', 'tc_legacy', 'flips_per_s', 'tc_fast', 'flips_per_s_fast'),
    *('vc8', 'vc8_self', 'vc16', 'vc16_self', 'confidence_mean'),
)
_FACTS: Final = (
    *('frames', 'labelled', 'unreadable', 'dropped'),
    *('labels_without_frame', 'frames_without_label', 'duration_s'),
)
_OF_CLASSES: Final = ('iou', 'tc', 'flips_per_s', 'vc8', 'vc16', 'share')
"""Columns for each class."""
_TIMES: Final = ('p50', 'p95', 'p99', 'max', 'mean')


def claim_run(
    folder: Path, settings: EvaluationSettings, *, overwrite: bool, inputs: Iterable[Path]
) -> None:
    """Make the folder of an evaluation, or go on with a run of the same settings.

    Args:
        folder: Made if absent.
        settings: Of this run.
        overwrite: Whether the results of a run with other settings may be removed.
        inputs: Files and folders that are about to be read.

    A run with other settings that ended and came to nothing, without a single frame with label
    maps, is replaced: whoever corrects a setting need not clear it away. Until a run ends, there
    is neither results.json nor report.html.

    Raises:
        OutputError: If an input lies among the results or the folder in an input, the folder holds
            another run or anything that is not ours, or it cannot be written.
    """
    for path in inputs:
        if path.resolve().is_relative_to((folder / SOURCES).resolve()):
            msg = f'{path} is among the results that {folder} is for; choose another --out'
            raise OutputError(msg)
        if path.is_dir() and folder.resolve().is_relative_to(path.resolve()):
            msg = f'{folder} is in {path}, which is read and must not change; choose another --out'
            raise OutputError(msg)
    run = {
        'schema': SCHEMA,
        'models': [_sha256(model) for model in settings.models],
        'settings': settings.content(),
    }
    try:
        if other := _differences(folder, run):
            if not overwrite and _has_results(folder):
                way = 'choose another --out, or --overwrite it'
                msg = f'{folder} holds another run ({other}); {way}'
                raise OutputError(msg)
            shutil.rmtree(folder / SOURCES, ignore_errors=True)
            for name in (TABLE, REPORT, RUN):
                (folder / name).unlink(missing_ok=True)
        mark_folder(folder)
        for name in (RESULTS, REPORT):  # until this run ends
            (folder / name).unlink(missing_ok=True)
    except OSError as error:
        msg = f'cannot write to {folder}: {error}; choose another --out'
        raise OutputError(msg) from error
    write_json(folder / RUN, run)


def _has_results(folder: Path) -> bool:
    """Whether anything in a folder was evaluated or may yet be, or nobody knows what is in it."""
    if not all((folder / name).is_file() for name in (RUN, RESULTS)):
        return True  # a run is under way, or was killed
    kept = (kept_result(record.parent) for record in (folder / SOURCES).glob(f'*/{RECORD}'))
    return any(found is None or found[1].segmented for found in kept)


def _differences(folder: Path, run: Mapping[str, Any]) -> str:
    """Return in what the run that a folder of ours holds differs; '' if it does not.

    Raises:
        OutputError: If the folder is not empty and not ours.
    """
    if not folder.exists() or not any(folder.iterdir()):
        return ''
    if not (folder / MARKER).is_file():
        msg = f'{folder} is not empty, and vidseg did not make it; choose another --out'
        raise OutputError(msg)
    try:
        found = json.loads((folder / RUN).read_text(encoding='utf-8'))
    except (OSError, ValueError):
        return 'no evaluation' if any(path.name != MARKER for path in folder.iterdir()) else ''
    flat = [{**side, **side.get('settings', {}), 'settings': None} for side in (found, run)]
    differing = [key for key in flat[0] | flat[1] if flat[0].get(key) != flat[1].get(key)]
    return 'other ' + ', '.join(differing) if differing else ''


def overall_scores(results: Sequence[SourceResult]) -> dict[str, dict[str, Any]]:
    """Return the scores of each model over all sources, as if they were one.

    Their order does not matter: sums are exact.
    """
    overall: dict[str, ModelTally] = {}
    for result in results:
        for key, tally in result.tallies.items():
            if key in overall:
                overall[key].merge(tally)
            else:
                overall[key] = ModelTally.from_dict(tally.to_dict())
    return {key: tally.scores() for key, tally in overall.items()}


def write_results(
    out: Path,
    settings: EvaluationSettings,
    results: Sequence[SourceResult],
    failures: Sequence[tuple[SourceJob, str]],
) -> dict[str, Any]:
    """Write results.json and results.csv.

    Args:
        out: Folder of the evaluation.
        settings: Of the evaluation.
        results: Of the sources that were evaluated.
        failures: The others, each with the reason.

    Returns:
        The content of results.json.

    Raises:
        OutputError: If a file cannot be written.
    """
    content = {
        'schema': SCHEMA,
        'settings': settings.content(),
        'models': [
            _model(key, path, settings, results)
            for key, path in zip(MODEL_KEYS, settings.models, strict=False)
        ],
        'classes': _classes(settings.classes),
        'sources': [
            *(result.summary() for result in results),
            *(_failed(job, reason) for job, reason in failures),
        ],
        'overall': overall_scores(results),
    }
    write_json(out / RESULTS, content)
    _write_table(out / TABLE, content)
    return content


def _classes(labels: LabelSet) -> list[dict[str, object]]:
    return [
        {'name': name, 'color': list(color)}
        for name, color in zip(labels.names, labels.colors, strict=True)
    ]


def _model(
    key: str, path: Path, settings: EvaluationSettings, results: Sequence[SourceResult]
) -> dict[str, Any]:
    card = read_model(path).card
    engines = [result.engines[MODEL_KEYS.index(key)] for result in results]
    return {
        'key': key,
        'file': str(path),
        'sha256': _sha256(path),
        'card': json.loads(card.to_json()),
        'precision': engines[0]['precision'] if engines else card.precision,
        'engine': engines[0] if engines else None,
        'lacks': never_predicted(card.labels.names, settings.classes, settings.class_map),
    }


def _failed(job: SourceJob, reason: str) -> dict[str, Any]:
    return {
        'key': job.key,
        'path': str(job.path),
        'topic': job.topic,
        'kind': None,
        **dict.fromkeys(_FACTS),
        'frames': 0,
        'problems': [reason],
        'models': {},
    }


def _write_table(path: Path, content: Mapping[str, Any]) -> None:
    """Write one row for each source and model, one for a failed source, and one for all."""
    classes = [item['name'] for item in content['classes']]
    header = [
        *('source', 'path', 'topic', 'model', *_FACTS, *_SCORES),
        *(f'inference_ms_{name}' for name in _TIMES),
        *(f'{what}_{name}' for what in _OF_CLASSES for name in classes),
        'problems',
    ]
    scored = len(header) - len(('source', 'path', 'topic', 'model', *_FACTS, 'problems'))
    rows = [
        [source['key'], source['path'], source['topic'], key]
        + [source[name] for name in _FACTS]
        + (_score_cells(scores) if scores else [None] * scored)
        + ['; '.join(source['problems'])]
        for source in content['sources']
        for key, scores in source['models'].items() or [(None, None)]
    ]
    sums = _summed_facts(content['sources'])
    rows += [
        ['overall', None, None, key, *sums, *_score_cells(scores), None]
        for key, scores in content['overall'].items()
    ]
    try:
        with path.open('w', newline='', encoding='utf-8') as stream:
            csv.writer(stream, lineterminator='\n').writerows([header, *rows])
    except OSError as error:
        msg = f'cannot write {path}: {error.strerror}; check the path and the free space'
        raise OutputError(msg) from error


def _summed_facts(sources: Sequence[Mapping[str, Any]]) -> list[Any]:
    """Return the sums of the counts as far as they are known, None where none is."""
    known = [[source[name] for source in sources if source[name] is not None] for name in _FACTS]
    return [sum(values) if values else None for values in known]


def _score_cells(scores: Mapping[str, Any]) -> list[Any]:
    steadiness = [
        scores[f'{what}_per_class'] or scores[f'{what}_per_class_fast']
        for what in ('tc', 'flips_per_s')
    ]
    vc = [scores[f'{what}_per_class'] for what in ('vc8', 'vc16')]
    of_classes = [scores['iou'], *steadiness, *vc, scores['class_share']]
    return [
        *(scores[name] for name in _SCORES),
        *(scores['inference_ms'][name] for name in _TIMES),
        *(value for values in of_classes for value in values),
    ]


def _sha256(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        msg = f'cannot read {path}: {error.strerror}'
        raise OutputError(msg) from error
