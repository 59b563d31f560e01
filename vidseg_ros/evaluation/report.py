# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""The report of an evaluation: one HTML file that needs nothing else, no network either.

Its parts are in the folder ``report_page``; the charts are drawn by Plotly, whose JavaScript comes
out of the installed Python package ``plotly``.
"""

from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import islice
import json
from pathlib import Path
import re
from typing import Any, Final

from vidseg_ros.core.errors import ParameterError, SourceError
from vidseg_ros.core.labels import LabelSet
from vidseg_ros.evaluation.clip import ClipPart, MAX_FPS, read_clip
from vidseg_ros.evaluation.evaluate import SOURCES
from vidseg_ros.evaluation.report_colors import report_labels
from vidseg_ros.evaluation.report_media import (
    choose_parts,
    clip_content,
    media_elements,
    SourceClip,
    thumbnail,
)
from vidseg_ros.evaluation.report_series import Moment, read_frames, thin, worst_moments
from vidseg_ros.evaluation.results import REPORT, RESULTS, SCHEMA
from vidseg_ros.evaluation.source_writers import CLIP
from vidseg_ros.evaluation.writers import writing

WORST: Final = 8
"""Moments of each kind."""

KINDS: Final = (
    ('Lowest TC', ('tc', 'tc_fast'), 'TC {:.1f} %'),
    ('Most flips', ('flips', 'flips_fast'), '{:.1f} % flip'),
    ('Lowest confidence', ('confidence',), '{:.1f} % sure'),
    ('Lowest mIoU', ('miou',), 'mIoU {:.1f} %'),
)
"""Kinds of moments: title, columns of the frames CSV (the first that is there), text."""

_PAGE: Final = Path(__file__).with_name('report_page')
_MOST_POINTS: Final = 2000
_LEAST_POINTS: Final = 50
_MOST_POINTS_IN_ALL: Final = 400_000
_MOST_MEDIA_BYTES: Final = {1: 38_000_000, 2: 66_000_000}


@dataclass(frozen=True, kw_only=True)
class _Source:
    """What was read of a source."""

    result: Mapping[str, Any]
    tables: Mapping[str, Path]  # of the frames, by model
    series: Mapping[str, Mapping[str, list[float | None]]]  # by model and column
    moments: Mapping[str, Mapping[str, list[Moment]]]  # likewise
    clip: SourceClip | None


def require_plotting_library() -> Path:
    """Return the JavaScript of Plotly; call it before a long run whose end is a report.

    Raises:
        ParameterError: If it is not installed.
    """
    spec = find_spec('plotly')
    folders = (spec.submodule_search_locations if spec else None) or ()
    for folder in folders:
        path = Path(folder) / 'package_data' / 'plotly.min.js'
        if path.is_file():
            return path
    msg = 'a report needs plotly: pip install plotly; vidseg evaluate --no-report goes without'
    raise ParameterError(msg)


def write_report(out: Path) -> Path:
    """Write the report of an evaluation out of what lies in its folder.

    Long or many drives are not carried whole: the parts with the worst moments come first.

    Args:
        out: Folder of the evaluation.

    Returns:
        The HTML file.

    Raises:
        ParameterError: If Plotly is not installed.
        SourceError: If the folder holds no evaluation, or a damaged one.
        OutputError: If the file cannot be written.
    """
    plotly = require_plotting_library()
    results = _read_results(out / RESULTS)
    tables = max(1, sum(len(result['models']) for result in results['sources']))
    points = max(_LEAST_POINTS, min(_MOST_POINTS, _MOST_POINTS_IN_ALL // tables))
    sources = [_read_source(out, result, points) for result in results['sources']]
    clips = [source.clip for source in sources if source.clip]
    worst = _worst(sources, results)
    wanted = [
        (moment['source'], moment.pop('part'))
        for at in range(WORST)
        for kind in worst
        for moment in kind['moments'][at : at + 1]
    ]
    most = _MOST_MEDIA_BYTES[min(2, len(results['models']))]
    chosen = choose_parts(clips, [name for name in wanted if name[1] is not None], most)
    content = _content(results, sources, worst, chosen)
    path = out / REPORT
    with writing(path), path.open('w', encoding='utf-8') as stream:
        stream.writelines(_page(content, _files(plotly, media_elements(clips, chosen))))
    return path


def _read_results(path: Path) -> dict[str, Any]:
    if not path.parent.is_dir():
        msg = f'there is no folder {path.parent}; name the --out of vidseg evaluate'
        raise SourceError(msg)
    try:
        results: dict[str, Any] = json.loads(path.read_text(encoding='utf-8'))
    except OSError as error:
        why = f'{path.name}: {error.strerror}'
        msg = f'no evaluation in {path.parent} ({why}); run vidseg evaluate first'
        raise SourceError(msg) from error
    except ValueError as error:
        msg = f'{path} is damaged: {error}; run vidseg evaluate again'
        raise SourceError(msg) from error
    if not isinstance(results, dict) or results.get('schema') != SCHEMA:
        msg = f'{path} does not say {SCHEMA}: it is of another version; run vidseg evaluate again'
        raise SourceError(msg)
    return results


def _read_source(out: Path, result: Mapping[str, Any], points: int) -> _Source:
    """Read a source; of its many frames, keep what charts and worst moments need."""
    folder = out / SOURCES / result['key']
    tables = {key: folder / f'frames-{key}.csv' for key in result['models']}
    series, moments = {}, {}
    start_ns = None
    index = read_clip(folder / CLIP)
    shown = {at for part in index.parts for at in part.indices} if index else set()
    for key, path in tables.items():
        columns, start_ns = read_frames(path, start_ns)
        series[key] = thin(columns, points)
        moments[key] = {
            name: worst_moments(columns, name, WORST, shown)
            for _, names, _ in KINDS
            for name in names
        }
    clip = None
    if index is not None and start_ns is not None:
        clip = SourceClip(key=result['key'], folder=folder / CLIP, index=index, start_ns=start_ns)
    return _Source(result=result, tables=tables, series=series, moments=moments, clip=clip)


def _worst(sources: Sequence[_Source], results: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the kinds of worst moments, each with its moments, worst first."""
    classes = report_labels(_labels(results))
    kinds = []
    for title, names, text in KINDS:
        for model in results['models']:
            key = model['key']
            found = [
                (moment.value if title.startswith('Lowest') else -moment.value, source, moment)
                for source in sources
                if source.clip and key in source.moments
                for name in names
                for moment in source.moments[key][name]
            ]
            found.sort(key=lambda item: item[0])
            moments = [
                {
                    'source': source.result['key'],
                    'index': moment.index,
                    't': round(moment.t, 3),
                    'text': text.format(moment.value * 100),
                    **_picture_of(source.clip, moment.index, key, classes),
                }
                for _, source, moment in found[:WORST]
                if source.clip
            ]
            if moments:
                suffix = f', model {key.upper()}' if len(results['models']) > 1 else ''
                kinds.append({'title': title + suffix, 'moments': moments})
    return kinds


def _labels(results: Mapping[str, Any]) -> LabelSet:
    return LabelSet(
        names=tuple(item['name'] for item in results['classes']),
        colors=tuple(tuple(item['color']) for item in results['classes']),
    )


def _picture_of(clip: SourceClip, index: int, model: str, classes: LabelSet) -> dict[str, Any]:
    found: tuple[ClipPart, int] | None = clip.frame_at(index)
    if found is None:
        return {'part': None, 'thumbnail': ''}
    part, at = found
    return {'part': part.name, 'thumbnail': thumbnail(clip, part, at, model, classes)}


def _content(
    results: Mapping[str, Any],
    sources: Sequence[_Source],
    worst: list[dict[str, Any]],
    chosen: set[tuple[str, str]],
) -> dict[str, Any]:
    """Return what the page's scripts read."""
    clips = [source.clip for source in sources if source.clip]
    listed = []
    for source in sources:
        clip = source.clip
        number = clips.index(clip) if clip else 0
        shown = clip_content(number, clip, chosen, source.tables) if clip else None
        listed.append(
            {
                **{name: value for name, value in source.result.items() if name != 'models'},
                'models': {
                    key: {name: value for name, value in scores.items() if name != 'confusion'}
                    for key, scores in source.result['models'].items()
                },
                'series': source.series,
                'clip': shown,
                'note': _clip_note(clip, shown, source.result['frames']),
            }
        )
    frames = sum(source.result['frames'] or 0 for source in sources)
    labels = _labels(results)
    names = ' against '.join(map(_model_name, results['models']))
    return {
        'subtitle': f'{names}, {len(sources)} source{"s" * (len(sources) != 1)}, {frames} frames',
        'models': [_model(model) for model in results['models']],
        'classes': [
            {'name': name, 'color': color, 'own': own}
            for name, color, own in zip(
                labels.names, report_labels(labels).colors, labels.colors, strict=True
            )
        ],
        'overall': results['overall'],
        'sources': listed,
        'worst': worst,
    }


def _clip_note(clip: SourceClip | None, shown: Mapping[str, Any] | None, frames: int) -> str:
    """Say what of a source's frames is on the page."""
    if clip is None:
        return 'No pictures were kept of this source.'
    carried = len(shown['parts']) if shown else 0
    kept = sum(len(part.indices) for part in clip.index.parts)
    note = ''
    if kept < frames:
        which = f'those segmented, at most {MAX_FPS} a second'
        note = f'{kept} of {frames} frames have pictures: {which}. '
    if carried == len(clip.index.parts):
        return note.strip()
    return note + (
        f'{carried} of {len(clip.index.parts)} minutes are on this page, worst moments first; '
        f'all are in {SOURCES}/{clip.key}/{CLIP}.'
    )


def _model(model: Mapping[str, Any]) -> dict[str, Any]:
    key, card, engine = model['key'], model['card'], model['engine']
    run_by = f'{engine["name"]} {engine["version"]}, {engine["device"]}' if engine else 'not run'
    facts = {
        'File': model['file'],
        'SHA-256': model['sha256'],
        'Network': card.get('network'),
        'Precision': model['precision'],
        'Engine': run_by,
        'Licence': card.get('licence'),
    }
    # A card's licence speaks of the data sets below it; some go in several times.
    data = dict.fromkeys(f'{item["name"]}: {item["licence"]}' for item in card.get('datasets', ()))
    return {
        'key': key,
        'label': f'{key.upper()}: {_model_name(model)}',
        'lacks': model['lacks'],
        'facts': [
            *([name, str(value)] for name, value in facts.items() if value),
            *(['Data', text] for text in data),
        ],
    }


def _model_name(model: Mapping[str, Any]) -> str:
    """Return what the card says, and the file's name where that is another."""
    file, name = Path(model['file']), str(model['card']['name'])
    return name if file.stem == name else f'{name} ({file.name})'


def compiled_at_once(library: bytes) -> bytes:
    """Put Plotly's one big function in brackets: browsers then compile it while they load it.

    Without them they skim it first and compile it when it is called, a fifth of a second later.
    A file of another form stays as it is.
    """
    opening, closing = b'this, () => {', b'}));'
    before, found, body = library.partition(opening)
    if not found or not body.endswith(closing):
        return library
    return before + b'this, (() => {' + body[: -len(closing)] + b'})));'


def _files(plotly: Path, media: Iterator[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Yield id and base64 text of every file: the first pictures, Plotly, the other pictures."""
    yield from islice(media, 2)
    yield 'plotly', b64encode(compiled_at_once(plotly.read_bytes())).decode()
    yield from media


def _page(content: Mapping[str, Any], files: Iterable[tuple[str, str]]) -> Iterator[str]:
    """Yield the page piece by piece; its places for content are ``{{name}}``."""
    fixed = {
        'style': lambda: (_PAGE / 'style.css').read_text(encoding='utf-8'),
        'data': lambda: _json_in_html(content),
        'modules': lambda: _json_in_html(_import_map()),
    }
    template = (_PAGE / 'page.html').read_text(encoding='utf-8')
    for at, piece in enumerate(re.split(r'\{\{(\w+)\}\}', template)):
        if at % 2 == 0:
            yield piece
        elif piece == 'files':
            for name, text in files:
                yield f'<div hidden id="{name}"><!--{text}--></div>\n'
        else:
            yield fixed[piece]()


def _import_map() -> dict[str, dict[str, str]]:
    """Return where the browser finds the modules: in the map itself."""
    return {
        'imports': {
            f'vidseg/{path.stem}': 'data:text/javascript;base64,'
            + b64encode(path.read_bytes()).decode()
            for path in sorted(_PAGE.glob('*.js'))
        }
    }


def _json_in_html(content: object) -> str:
    """Write JSON that cannot end the element that it stands in, whatever names it has."""
    text = json.dumps(content, separators=(',', ':'), allow_nan=False)
    return text.replace('<', '\\u003c').replace('>', '\\u003e').replace('&', '\\u0026')
