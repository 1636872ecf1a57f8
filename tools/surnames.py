"""Write the surnames that ship with the course, from the lists in the package ``faker``:

    pip install faker==40.63.0
    python tools/surnames.py

A language is taken if ``faker`` lists at least 250 surnames of it. They are written in small letters without accents, as
these would give a language away; a name that belongs to several languages is left out, for no network could tell it.
"""

import collections
import importlib
import json
import unicodedata
from collections.abc import Iterable
from pathlib import Path

import numpy as np

LOCALES = {
    "English": "en_GB",
    "German": "de_DE",
    "French": "fr_FR",
    "Italian": "it_IT",
    "Spanish": "es_ES",
    "Polish": "pl_PL",
    "Czech": "cs_CZ",
    "Finnish": "fi_FI",
    "Turkish": "tr_TR",
    "Dutch": "nl_NL",
    "Hungarian": "hu_HU",
    "Romanian": "ro_RO",
    "Swedish": "sv_SE",
    "Danish": "da_DK",
    "Croatian": "hr_HR",
    "Lithuanian": "lt_LT",
    "Latvian": "lv_LV",
    "Estonian": "et_EE",
    "Portuguese": "pt_BR",
    "Indonesian": "id_ID",
    "Vietnamese": "vi_VN",
    "Irish": "ga_IE",
    "Azerbaijani": "az_AZ",
}
FEWEST, MOST = 250, 600  # surnames of a language
SHORTEST, LONGEST = 3, 16  # letters
NO_ACCENT = str.maketrans({"ł": "l", "ø": "o", "ı": "i", "ß": "ss", "æ": "ae", "đ": "d"})  # what Unicode takes for letters
FILE = Path(__file__).resolve().parent.parent / "attnprune_edu" / "data" / "surnames.json"


def surnames(locale: str) -> set[str]:
    """The surnames of a locale, in small letters without accents."""
    provider = importlib.import_module(f"faker.providers.person.{locale}").Provider
    lists = [getattr(provider, name) for name in dir(provider) if name.startswith("last_name")]
    found = {plain(name) for names in lists if not callable(names) for name in names if isinstance(name, str)}
    return {name for name in found if SHORTEST <= len(name) <= LONGEST and set(name) <= set("abcdefghijklmnopqrstuvwxyz '-")}


def plain(name: str) -> str:
    letters = unicodedata.normalize("NFKD", name.lower().translate(NO_ACCENT))
    return "".join(letter for letter in letters if not unicodedata.combining(letter)).strip()


def of_one_language(found: dict[str, set[str]]) -> dict[str, list[str]]:
    """{language: its own surnames, up to ``MOST`` of them}, each in alphabetical order."""
    languages = {language: names for language, names in found.items() if len(names) >= FEWEST}
    owners = collections.Counter(name for names in languages.values() for name in names)
    random = np.random.RandomState(0)  # NumPy promises that it never changes
    return {language: drawn(random, (n for n in names if owners[n] == 1)) for language, names in languages.items()}


def drawn(random: np.random.RandomState, names: Iterable[str]) -> list[str]:
    names = sorted(names)
    return sorted(random.permutation(names)[:MOST].tolist())


if __name__ == "__main__":
    chosen = of_one_language({language: surnames(locale) for language, locale in LOCALES.items()})
    lines = (f"{json.dumps(language)}: {json.dumps(names)}" for language, names in chosen.items())
    FILE.write_text("{" + ",\n".join(lines) + "}\n", encoding="utf-8")
    print({language: len(names) for language, names in chosen.items()}, f"{FILE.stat().st_size:,} bytes")
