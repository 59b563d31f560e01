# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0

import numpy as np
from numpy.typing import NDArray
import pytest

from vidseg_ros.core.errors import ParameterError
from vidseg_ros.core.labels import CAMVID, CITYSCAPES, IGNORE_ID, LabelSet, STREET
from vidseg_ros.core.overlay import blend, contact_sheet, legend, legends, MOST_NAMED

Rgb = NDArray[np.uint8]


def picture(height: int, width: int) -> Rgb:
    return np.random.default_rng(3).integers(0, 256, (height, width, 3), np.uint8)


class TestBlend:
    @pytest.mark.parametrize('opacity', [0.25, 0.5, 0.8])
    def test_matches_the_formula_in_floats(self, opacity: float) -> None:
        image = picture(40, 60)
        labels = np.random.default_rng(4).integers(0, 11, (40, 60), np.uint8)
        tinted = blend(image, labels, CAMVID, opacity)
        exact = (1 - opacity) * image + opacity * CAMVID.colorize(labels).astype(float)
        assert tinted.dtype == np.uint8
        assert np.abs(tinted - exact).max() <= 0.51

    def test_red_label_on_black_is_red(self) -> None:
        red = LabelSet(names=('a', 'b'), colors=((255, 0, 0), (0, 0, 200)))
        tinted = blend(np.zeros((1, 2, 3), np.uint8), np.array([[0, 1]], np.uint8), red, 1.0)
        assert tinted.tolist() == [[[255, 0, 0], [0, 0, 200]]]

    def test_ids_without_class_stay_untinted(self) -> None:
        image = picture(2, 3)
        labels = np.array([[0, 10, 11], [IGNORE_ID, 9, 200]], np.uint8)
        tinted = blend(image, labels, CAMVID, 0.5)
        without = labels >= 11
        assert np.array_equal(tinted[without], image[without])
        assert (tinted[~without] != image[~without]).any(axis=-1).all()

    def test_ends_of_opacity_and_inputs_untouched(self) -> None:
        image = picture(5, 7)
        labels = np.full((5, 7), 3, np.uint8)
        before = image.copy()
        assert np.array_equal(blend(image, labels, CAMVID, 0.0), image)
        assert np.array_equal(blend(image, labels, CAMVID, 1.0), CAMVID.colorize(labels))
        assert np.array_equal(image, before)
        assert (labels == 3).all()

    def test_takes_read_only_and_padded_pictures(self) -> None:
        padded = picture(6, 10)
        padded.setflags(write=False)
        view = padded[:, :7]
        labels = np.full((6, 7), 2, np.uint8)
        assert np.array_equal(blend(view, labels, CAMVID), blend(view.copy(), labels, CAMVID))

    @pytest.mark.parametrize('opacity', [-0.1, 1.1, float('nan')])
    def test_opacity_out_of_range(self, opacity: float) -> None:
        with pytest.raises(ParameterError, match=r'opacity is .*from 0 to 1'):
            blend(picture(2, 2), np.zeros((2, 2), np.uint8), CAMVID, opacity)

    def test_sizes_differ(self) -> None:
        with pytest.raises(ParameterError, match='picture is 6x4 but labels are 3x2'):
            blend(picture(4, 6), np.zeros((2, 3), np.uint8), CAMVID)


class TestLegend:
    @pytest.mark.parametrize('labels', [CAMVID, CITYSCAPES, STREET])
    def test_shows_each_colour_as_a_swatch(self, labels: LabelSet) -> None:
        strip = legend(labels, 480)
        assert strip.shape[1:] == (480, 3)
        assert strip.dtype == np.uint8
        for color in set(labels.colors):
            shown = np.all(strip == color, axis=-1).sum()
            swatches = 14 * 14 * labels.colors.count(color)
            assert swatches <= shown < swatches + 100, color  # edges of letters are grey too

    def test_wraps_to_the_width(self) -> None:
        assert legend(CAMVID, 2000).shape == (24, 2000, 3)
        narrow = legend(CAMVID, 140)
        assert narrow.shape == (11 * 24, 140, 3)
        # One class per line, in order of the ids: the swatch's middle has the class's colour.
        assert [tuple(narrow[24 * i + 12, 15]) for i in range(11)] == list(CAMVID.colors)

    def test_writes_a_name_beside_every_swatch(self) -> None:
        narrow = legend(CAMVID, 140)
        for line in range(11):
            text = narrow[24 * line : 24 * line + 24, 30:]
            assert (text < 80).all(axis=-1).sum() > 10, CAMVID.names[line]
            assert (text[:, -1] == 255).all()

    def test_too_narrow(self) -> None:
        with pytest.raises(ParameterError, match=r'legend width is 50 px; .* need 1\d\d px'):
            legend(CAMVID, 50)


class TestLegends:
    def test_lie_beside_each_other_unless_they_are_the_same(self) -> None:
        both = legends([CAMVID, STREET], 600)
        camvid, street = legend(CAMVID, 300), legend(STREET, 300)
        np.testing.assert_array_equal(both[: camvid.shape[0], :300], camvid)
        np.testing.assert_array_equal(both[: street.shape[0], 300:], street)
        assert both.shape[0] == max(camvid.shape[0], street.shape[0])
        np.testing.assert_array_equal(legends([CAMVID, CAMVID], 600), legend(CAMVID, 600))

    def test_are_left_out_where_there_is_no_room(self) -> None:
        names = tuple(f'class {number}' for number in range(MOST_NAMED + 1))
        many = LabelSet(names=names, colors=((1, 2, 3),) * len(names))
        assert legends([CAMVID, many], 600).shape == (0, 600, 3)
        assert legends([CAMVID], 50).shape == (0, 50, 3)


class TestContactSheet:
    def test_tiles_lie_row_by_row(self) -> None:
        tiles = [picture(30, 40) // 2 + i for i in range(5)]
        sheet = contact_sheet(tiles, 2, list('abcde'))
        assert sheet.shape == (3 * (24 + 30 + 8), 8 + 2 * 48, 3)
        for index, tile in enumerate(tiles):
            top, left = index // 2 * 62 + 24, 8 + index % 2 * 48
            assert np.array_equal(sheet[top : top + 30, left : left + 40], tile)
        assert (sheet[2 * 62 :, 56:] == 255).all()  # the sixth place is empty

    def test_smaller_tiles_leave_white(self) -> None:
        small, large = np.zeros((10, 20, 3), np.uint8), np.zeros((30, 40, 3), np.uint8)
        sheet = contact_sheet([small, large], 2, ['', ''])
        assert (sheet[24:34, 8:28] == 0).all()
        assert (sheet[34:, 8:48] == 255).all()
        assert (sheet[24:34, 28:48] == 255).all()
        assert (sheet[24:54, 56:96] == 0).all()

    def test_fewer_tiles_than_columns(self) -> None:
        assert contact_sheet([picture(30, 40)], 4, ['a']).shape == (62, 56, 3)

    @pytest.mark.parametrize('width', [120, 1920])
    def test_captions_are_written_within_their_tile(self, width: int) -> None:
        white = np.full((20, width, 3), 255, np.uint8)
        sheet = contact_sheet(
            [white, white], 2, ['a caption of many words, very many ' * (width // 120), 'short']
        )
        dark = np.all(sheet < 200, axis=-1)
        assert dark[:, 8 : 8 + width].sum() > 50
        assert not dark[:, 8 + width + 1 : 16 + width].any()
        assert dark[:, 16 + width :].sum() > 20
        assert not dark[-28:].any()  # nothing hangs into the picture below

    def test_text_grows_with_the_tiles(self) -> None:
        def ink_height(width: int) -> int:
            sheet = contact_sheet([np.full((20, width, 3), 255, np.uint8)], 1, ['Hh'])
            return int(np.all(sheet < 160, axis=-1).any(axis=1).sum())

        assert ink_height(1920) > 2 * ink_height(640)

    @pytest.mark.parametrize(
        ('count', 'columns', 'captions'), [(0, 1, 0), (2, 0, 2), (2, 1, 1), (1, 1, 2)]
    )
    def test_refuses_what_it_cannot_lay_out(self, count: int, columns: int, captions: int) -> None:
        tiles = [picture(4, 4)] * count
        with pytest.raises(ParameterError, match=f'of {count} pictures in {columns} columns'):
            contact_sheet(tiles, columns, ['x'] * captions)
