"""Films on the page: still until they are asked to move."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from tengen.evaluation.report.films import MOST_IN_ALL, Film, data_uri, poster
from tengen.evaluation.report.page.elements import Markup, joined, tag


class Shown(NamedTuple):
    """A film on the page."""

    film: Film
    uri: str | None
    """Its data; None where it is too large."""
    still: str | None
    """Its first picture, of a GIF."""


def embedded(films: Iterable[Film]) -> list[Shown]:
    """Return films with their data and posters, as far as the page has room."""
    left = MOST_IN_ALL
    shown = []
    for film in films:
        uri = data_uri(film.path, left)
        left -= len(uri) if uri else 0
        still = poster(film.path) if uri and film.path.suffix.lower() == ".gif" else None
        shown.append(Shown(film, uri, still))
    return shown


def film_section(films: Sequence[Shown]) -> Markup | None:
    """Return the films of a task; None without any."""
    if not films:
        return None
    return joined([tag("h3", "Median runs at play"), tag("div", [_film(*film) for film in films], class_="films")])


def _film(film: Film, uri: str | None, still: str | None) -> Markup:
    words = f"{film.agent}, seed {film.seed}"
    if uri is None:
        return tag("figure", tag("figcaption", f"{words}: too large for the page, see {film.path}"))
    if film.path.suffix.lower() == ".mp4":
        shown = tag("video", src=uri, controls=True, loop=True, muted=True, preload="metadata", aria_label=words)
        return tag("figure", shown, tag("figcaption", words))
    name = f"film-{abs(hash((film.task, film.agent))):x}"
    picture = tag("img", id=name, src=still or uri, data_moving=uri, alt=f"An episode of {words}")
    play = tag("button", "Play", type="button", data_film=name, hidden=True, aria_label=f"Play or stop {words}")
    return tag("figure", picture, tag("figcaption", words), play if still else None)
