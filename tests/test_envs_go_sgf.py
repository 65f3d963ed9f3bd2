"""Records of Go: reading them from anywhere, counting what is bad, and playing them again."""

from __future__ import annotations

import io
import os
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from go_games import gnu_go_calls_illegal, replay
from go_records import SlowBoard, random_game, sgf_text

from tengen.envs.go.games import Games, collect, load_games
from tengen.envs.go.gtp_client import find_program
from tengen.envs.go.rules import Refusal, Rules
from tengen.envs.go.sgf import BadRecord, Record, parse_records, read_records
from tengen.errors import UserError

KO = "(;SZ[5];B[ba];W[ca];B[ab];W[db];B[bc];W[cc];B[cb];W[bb];B[cb])"
SUICIDE = "(;SZ[5];B[ba];W[ee];B[ab];W[aa])"
OCCUPIED = "(;SZ[5];B[aa];W[aa])"
GOOD = "(;GM[1]FF[4]SZ[9]DT[2017-04-12]KM[6.5]RE[B+R]RU[Japanese];B[ee];W[cc];B[])"


def record(text: str, size: int | None = 9, **settings: int) -> Record | BadRecord:
    (found,) = parse_records("x.sgf", text.encode("latin-1"), size, **settings)
    return found


def games_of(*texts: str, size: int = 9) -> Games:
    return collect([record(text, size) for text in texts], size)[0]


def test_a_record_says_moves_from_the_top_left_result_date_and_komi() -> None:
    found = record(GOOD)
    assert found == Record("x.sgf", 9, (40, 20, 81), 1, (), 1, 20170412, 6.5, "Japanese")


@pytest.mark.parametrize(
    ("result", "margin"),
    [
        *(("B+3.5", 3.5), ("W+0.50", -0.5), ("b+12", 12.0), ("0", 0.0), ("Draw", 0.0), ("W+R", None), ("B+T", None)),
        *(("B+", None), ("W+Resign", None), ("?", None), ("Void", None), ("B+3.5 (moyo)", None), ("B+\u0663", None)),
    ],
)
def test_a_record_says_by_how_much_a_counted_game_was_won(result: str, margin: float | None) -> None:
    (found,) = parse_records("x.sgf", GOOD.replace("B+R", result).encode(), 9)
    assert isinstance(found, Record)
    assert found.margin == margin


def test_handicap_stones_are_set_up_and_white_begins() -> None:
    found = record("(;SZ[9]HA[2]AB[ca][gg]AW[bb];W[ee];B[cc])")
    assert isinstance(found, Record)
    assert found.first == -1
    assert found.stones == (-11, 2, 60) or sorted(found.stones) == [-11, 2, 60]
    sample = collect([found], 9)[0].sample(np.array([0, 0]), np.array([0, 2]))
    assert sample.board[0, 0, 2] == 1
    assert sample.board[0, 1, 1] == -1
    assert sample.to_move.tolist() == [-1, -1]
    assert sample.board[1, 4, 4] == -1


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("nonsense", "damaged"),
        ("(;SZ[9];B[ee", "damaged"),
        ("(;SZ[9];B[zz];W[aa])", "damaged"),
        ("(;SZ[x];B[ee])", "damaged"),
        ("(;SZ[13];B[ee])", "another board size"),
        ("(;SZ[20];B[ee])", "another board size"),
        ("(;SZ[9];B[ee];B[cc])", "the same side moves twice"),
        ("(;SZ[9];B[ee];AB[cc];W[dd])", "stones set up during the game"),
        ("(;SZ[9])", "too short"),
        ("(;SZ[9];B[ee];W[ee])", "an illegal move"),
        ("(;GM[3]SZ[9];B[ee];W[cc])", "not a game of Go"),
        ("(;SZ[9]AB[aa]AW[ba][ab];B[cc];W[dd])", "set-up stones without liberties"),
    ],
)
def test_a_bad_file_is_counted_with_its_reason(text: str, reason: str) -> None:
    games, census = collect([record(text), record(GOOD)], 9)
    assert census.reasons == {reason: 1}
    assert len(games) == 1


@pytest.mark.parametrize(
    ("text", "detail"),
    [
        ("(;SZ[9];B[ee];W[zz])", "move 2: W[zz] is no point of a 9x9 board"),
        ("(;SZ[9];B[\x1b])", "move 1: B[?] is no point of a 9x9 board"),
        ("(;SZ[9]AB[aa][jj];W[cc])", "AB[aa][jj] are no points of a 9x9 board"),
    ],
)
def test_what_is_off_the_board_is_told(text: str, detail: str) -> None:
    assert record(text) == BadRecord("x.sgf", "damaged", detail)


def test_stones_may_be_set_up_in_any_node_before_the_first_move() -> None:
    at_once = record("(;SZ[9]HA[2]AB[cc][gg];W[ee];B[dd])")
    assert record("(;SZ[9]HA[2];AB[cc][gg];W[ee];B[dd])") == at_once
    assert record("(;SZ[9]AB[cc][aa];AE[aa]AW[gg];AB[gg];W[ee];B[dd])") == at_once
    assert record("(;SZ[9]AB[cc];AB[gg]W[ee];B[dd])") == at_once


@pytest.mark.parametrize("komi", ["", "6,5", "nan", "inf", "abc"])
def test_a_komi_that_is_no_number_is_unknown(komi: str) -> None:
    found = record(f"(;SZ[9]KM[{komi}];B[ee])")
    assert isinstance(found, Record)
    assert np.isnan(found.komi)


def test_every_game_of_a_collection_is_read() -> None:
    other = "(;SZ[9];B[ee])"
    found = parse_records("x.sgf", f"{GOOD}\n{other}\n(;SZ[9];B[zz])".encode(), 9)
    assert [record.name for record in found] == ["x.sgf#1", "x.sgf#2", "x.sgf#3"]
    assert [record.moves for record in found if isinstance(record, Record)] == [(40, 20, 81), (40,)]
    assert isinstance(found[2], BadRecord)


def test_a_game_before_damage_is_read() -> None:
    found = parse_records("x.sgf", f"{GOOD}(;SZ[9];B[ee".encode(), 9)
    assert [type(record) for record in found] == [Record, BadRecord]
    assert (found[1].name, found[1].reason) == ("x.sgf#2", "damaged")  # type: ignore[union-attr]


def test_what_is_not_ascii_does_no_harm() -> None:
    (found,) = parse_records("x", GOOD.encode().replace(b"KM", "PB[\u68cb\u58eb]KM".encode("gbk")), 9)
    assert isinstance(found, Record)


def test_an_illegal_move_is_reported_with_its_number_and_why() -> None:
    _, census = collect([record(KO, 5), record(SUICIDE, 5), record(OCCUPIED, 5)], 5)
    assert [bad.detail for bad in census.bad] == [
        "move 9: it takes a ko back at once",
        "move 4: it is suicide",
        "move 2: the point is occupied",
    ]


def test_suicide_is_legal_where_the_rules_of_the_game_allow_it() -> None:
    moves = ";B[ba];W[aa];B[bb];W[ee];B[cc];W[ab];B[ac])"  # both white stones are taken, as ever
    suicide = ";B[ba];W[aa];B[bb];W[ee];B[ac];W[ab];B[dd];W[aa])"
    assert len(games_of(f"(;SZ[5]{moves}", size=5)) == 1
    assert len(collect([record(f"(;SZ[5]{suicide}", 5)], 5)[0]) == 0
    single = "(;SZ[5]RU[NZ];B[ba];W[ee];B[ab];W[aa])"  # would change nothing but the turn: no rules allow it
    assert len(collect([record(single, 5)], 5)[0]) == 0
    games = games_of(f"(;SZ[5]RU[NZ]{suicide}", size=5)
    board = games.sample(np.array([0]), np.array([7])).board[0]
    assert board[0, 0] == board[1, 0] == 0


def test_duplicates_are_dropped_and_named() -> None:
    games, census = collect([record(GOOD), record(GOOD.replace("B+R", "W+R")), record("(;SZ[9];B[ee])")], 9)
    assert len(games) == 2
    assert census.reasons == {"a duplicate": 1}


def test_folders_and_archives_are_read_alike(tmp_path: Path) -> None:
    texts = {f"{i}.sgf": sgf_text(9, [i, 40]) for i in range(4)}
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "deep" / "er" / "0.sgf").write_text(texts["0.sgf"])
    (tmp_path / "1.sgf").write_text(texts["1.sgf"])
    (tmp_path / "notes.txt").write_text("not a game")
    with zipfile.ZipFile(tmp_path / "two.zip", "w") as archive:
        archive.writestr("2.sgf", texts["2.sgf"])
    with tarfile.open(tmp_path / "three.tar.gz", "w:gz") as tar:
        (tmp_path / "3.tmp").write_text(texts["3.sgf"])
        tar.add(tmp_path / "3.tmp", "inside/3.sgf")
    found = list(read_records([tmp_path], 9))
    assert sorted(entry.moves[0] for entry in found if isinstance(entry, Record)) == [0, 1, 2, 3]


def test_a_damaged_archive_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.tar.gz").write_bytes(b"nothing of the kind")
    with pytest.raises(UserError, match=r"x\.tar\.gz can't be read"):
        list(read_records([tmp_path]))


def member_damaged(path: Path, mode: str) -> Path:
    """Write an archive of one game that is damaged."""
    text = np.random.default_rng(0).integers(97, 101, 60_000, np.uint8).tobytes()
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", getattr(zipfile, mode)) as archive:
            archive.writestr("x.sgf", text)
    else:
        info = tarfile.TarInfo("x.sgf")
        info.size = len(text)
        with tarfile.open(path, mode) as tar:  # type: ignore[call-overload]  # the mode is no literal
            tar.addfile(info, io.BytesIO(text))
    data = bytearray(path.read_bytes())
    start = 35 if mode == "ZIP_DEFLATED" else len(data) // 3  # 35: the first block, which 0xff makes of no kind
    data[start : start + 1000] = b"\xff" + np.random.default_rng(1).bytes(999)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("name", "mode"),
    [
        *(("x.zip", "ZIP_DEFLATED"), ("x.zip", "ZIP_LZMA"), ("x.zip", "ZIP_BZIP2"), ("x.zip", "ZIP_STORED")),
        *(("x.tar.gz", "w:gz"), ("x.tar.gz", "w:xz"), ("x.tar.gz", "w:bz2")),
    ],
)
def test_an_archive_with_a_damaged_game_is_named(tmp_path: Path, name: str, mode: str) -> None:
    path = member_damaged(tmp_path / name, mode)
    with pytest.raises(UserError, match=rf"{name} can't be read: .*; mend it or take it away") as refused:
        list(read_records([path]))
    assert "\n" not in str(refused.value)


def test_a_silently_altered_archive_is_named(tmp_path: Path) -> None:
    path = tmp_path / "x.tar.gz"
    info = tarfile.TarInfo("x.sgf")
    info.size = len(GOOD)
    with tarfile.open(path, "w:gz", compresslevel=0) as tar:
        tar.addfile(info, io.BytesIO(GOOD.encode()))
    assert [type(entry) for entry in read_records([path], 9)] == [Record]
    data = path.read_bytes()
    assert data.count(b"B[ee]") == 1, "stored, not compressed"
    path.write_bytes(data.replace(b"B[ee]", b"B[ef]"))
    with pytest.raises(UserError, match=r"x\.tar\.gz can't be read: CRC check failed .*; mend it or take it away"):
        list(read_records([path], 9))


def test_what_is_no_plain_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.sgf")
    with pytest.raises(UserError, match=r"x\.sgf is neither a plain file nor a folder"):
        list(read_records([tmp_path / "x.sgf"]))


def test_a_folder_without_games_says_so(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"there is no \.sgf file"):
        load_games([tmp_path])
    with pytest.raises(UserError, match="there is no file or folder"):
        load_games([tmp_path / "missing"])
    (tmp_path / "x.sgf").write_text("(;SZ[20];B[aa])")
    with pytest.raises(UserError, match="another board size: 1"):
        load_games([tmp_path])


def test_the_cache_gives_the_same_games_until_the_files_change(tmp_path: Path) -> None:
    folder, cache = tmp_path / "games", tmp_path / "cache"
    folder.mkdir()
    (folder / "a.sgf").write_text(GOOD)
    first, census = load_games([folder], 9, cache=cache)
    again, none = load_games([folder], 9, cache=cache)
    assert census is not None
    assert none is None
    assert again.moves.tolist() == first.moves.tolist()
    assert again.dates.tolist() == [20170412]
    (folder / "b.sgf").write_text(sgf_text(9, [1, 2]))
    assert len(load_games([folder], 9, cache=cache)[0]) == 2
    for file in cache.iterdir():
        file.write_bytes(b"damaged")
    assert len(load_games([folder], 9, cache=cache)[0]) == 2


def test_a_cache_that_is_damaged_anywhere_is_read_anew_or_the_same(tmp_path: Path) -> None:
    (tmp_path / "a.sgf").write_text(GOOD)
    games, _ = load_games([tmp_path / "a.sgf"], 9, cache=tmp_path / "cache")
    [file] = (tmp_path / "cache").iterdir()
    whole = file.read_bytes()
    for place in range(0, len(whole), 7):
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        again, _ = load_games([tmp_path / "a.sgf"], 9, cache=tmp_path / "cache")
        assert again.digest() == games.digest(), place


@pytest.mark.filterwarnings("ignore:overflow encountered")  # where kernels run uncompiled
def test_the_cache_keeps_owners_beside_games_without_them(tmp_path: Path) -> None:
    (tmp_path / "a.sgf").write_text("(;GM[1]SZ[5]KM[0.5]RE[B+19.5]RU[Chinese];B[cb];W[ea];B[bd];W[];B[da];W[];B[])")
    bare, _ = load_games([tmp_path / "a.sgf"], 5, cache=tmp_path / "cache")
    owned, census = load_games([tmp_path / "a.sgf"], 5, cache=tmp_path / "cache", owners=True)
    assert census is not None
    assert (bare.owners, bare.num_owned) == (None, 0)
    again, none = load_games([tmp_path / "a.sgf"], 5, cache=tmp_path / "cache", owners=True)
    assert none is None
    assert again.owners is not None
    assert (again.owners == owned.owners).all()
    assert len({again.digest(), bare.digest()}) == 2
    assert again.digest() == owned.digest()
    assert load_games([tmp_path / "a.sgf"], 5, cache=tmp_path / "cache")[0].digest() == bare.digest()


def test_games_are_split_by_date() -> None:
    dates = ["2017-03-31", "2017-04-01", "2017-04", "2017-04-30,05-01", "unknown"]
    games = games_of(*(sgf_text(9, [i, 40], root=f"DT[{date}]") for i, date in enumerate(dates)))
    assert games.between(before=20170400).dates.tolist() == [20170331]
    assert games.between(after=20170400).dates.tolist() == [20170401, 20170400, 20170430]
    assert games.between(after=20170400).moves[::2].tolist() == [1, 2, 3]
    assert len(games.between(after=20170400).without(games_of(sgf_text(9, [2, 40])))) == 2


def test_positions_in_the_middle_are_those_of_a_slow_board_however_turned() -> None:
    rng = np.random.default_rng(5)
    size = 5
    records = [random_game(size, 60, rng) for _ in range(6)]
    games = games_of(*(sgf_text(size, moves) for moves in records), size=size)
    for number, moves in enumerate(records):
        board, colour = SlowBoard(size), 1
        for ply in range(len(moves) + 1):
            sample = games.sample(np.array([number]), np.array([ply]))
            assert (sample.board[0] == board.array()).all()
            assert sample.to_move[0] == colour
            assert sample.ko[0] == (-1 if board.ko is None else board.ko[0] * size + board.ko[1])
            assert sample.last[0].tolist() == (moves[:ply][::-1] + [-1] * 8)[:8]
            assert sample.action[0] == (moves[ply] if ply < len(moves) else -1)
            if ply < len(moves):
                board.play(None if moves[ply] == size**2 else divmod(moves[ply], size), colour)
                colour = -colour


def test_a_symmetry_turns_board_moves_and_ko_alike() -> None:
    rng = np.random.default_rng(6)
    size = 6
    games = games_of(sgf_text(size, random_game(size, 50, rng)), size=size)
    plies = np.arange(20, 50)
    zeros = np.zeros(30, np.int64)
    plain = games.sample(zeros, plies)
    points = np.arange(size * size).reshape(size, size)
    for k in range(8):
        turned = games.sample(zeros, plies, zeros + k)
        source = points.T if k & 4 else points
        source = source[:, ::-1] if k & 1 else source
        source = source[::-1] if k & 2 else source  # what lies where afterwards
        assert (turned.board.reshape(30, -1) == plain.board.reshape(30, -1)[:, source.ravel()]).all()
        goes = np.append(np.argsort(source.ravel()), [size * size, -1])  # -1 stays
        assert (turned.action == goes[plain.action]).all()
        assert (turned.ko == goes[plain.ko]).all()
        assert (turned.last == goes[plain.last]).all()


def test_a_game_or_ply_that_is_not_there_is_refused() -> None:
    games = games_of(GOOD)
    for number, ply in ((1, 0), (-1, 0), (0, 4), (0, -1)):
        with pytest.raises(IndexError):
            games.sample(np.array([number]), np.array([ply]))


def test_the_environments_rules_play_records_to_the_same_boards() -> None:
    rng = np.random.default_rng(7)
    games = games_of(*(sgf_text(5, random_game(5, 50, rng)) for _ in range(8)), size=5)
    refused, different = replay(games, Rules(size=5, komi=0.5, ko="simple"))
    assert {entry.reason for entry in refused} <= {Refusal.GAME_OVER}  # a random game may pass twice
    assert different == 0
    assert len(refused) < 8


@pytest.mark.skipif(find_program("gnugo") is None, reason="GNU Go is not installed")
def test_gnu_go_confirms_what_is_called_illegal() -> None:
    for text, index in ((KO, 8), (SUICIDE, 3), (OCCUPIED, 1)):
        found = record(text, 5)
        assert isinstance(found, Record)
        assert gnu_go_calls_illegal(found, index)
        assert not gnu_go_calls_illegal(found, 0)


def test_stones_that_are_set_up_turn_with_the_board() -> None:
    games = games_of("(;SZ[5]AB[ba];W[ba])".replace("W[ba]", "W[cc];B[ca]"), size=5)
    for k in range(8):
        before = games.sample(np.array([0]), np.array([0]), np.array([k])).board[0]
        after = games.sample(np.array([0]), np.array([2]), np.array([k]))
        stones = np.argwhere(before == 1)
        assert len(stones) == 1
        placed = np.argwhere((after.board[0] == 1) & (before == 0))
        assert abs(stones[0] - placed[0]).sum() == 1  # b and c of the top row stay neighbours
        assert sorted(abs(stones[0] - 2)) == [1, 2]
