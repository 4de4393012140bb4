"""`make words`: what the dashboard says is collected from its code, and each catalogue is brought up to it.

A catalogue has no line numbers and no dates, and is in order: two branches that add words seldom touch the same lines.
"""

import ast
import io
import sys
from collections.abc import Iterator
from pathlib import Path

from babel.messages.catalog import Catalog, Message
from babel.messages.pofile import read_po, write_po

from ui.words import LANGUAGES

FOLDER = Path(__file__).parent
SOURCE = "en"
# Which arguments are texts. Babel's own collector does not look into f-strings.
_TEXTS = {"_": slice(0, 1), "later": slice(0, 1), "say": slice(1, 2), "n_": slice(0, 2)}


def said(folder: Path = FOLDER) -> Catalog:
    """All that the code says."""
    found = Catalog()
    for file in sorted(folder.rglob("*.py")):
        for call in ast.walk(ast.parse(file.read_text(), str(file))):
            texts = _texts(call)
            if any(isinstance(one, ast.JoinedStr) for one in texts):
                raise ValueError(f"{file}:{texts[0].lineno}: an f-string is no text: _('… {{name}}', name=name)")
            fixed = [one.value for one in texts if isinstance(one, ast.Constant) and isinstance(one.value, str)]
            if fixed and len(fixed) == len(texts):
                found.add(tuple(fixed) if len(fixed) > 1 else fixed[0])
    return found


def _texts(node: ast.AST) -> list[ast.expr]:
    if not isinstance(node, ast.Call):
        return []
    called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    return node.args[_TEXTS[called]] if called in _TEXTS else []


def kept(language: str) -> Catalog:
    file = _file_of(language)
    if not file.exists():
        return Catalog(locale=language)
    with file.open("rb") as read:
        return read_po(read, locale=language, ignore_obsolete=True)


def renew(language: str) -> Iterator[str]:
    """Write the catalogue anew; gives what has no translation. A translation whose text is gone goes too."""
    catalogue = kept(language)
    catalogue.update(said(), no_fuzzy_matching=True)
    catalogue.obsolete.clear()
    for message in catalogue:
        message.flags, message.locations, message.user_comments, message.auto_comments = set(), [], [], []
    body = io.BytesIO()
    write_po(body, catalogue, sort_output=True, omit_header=True, width=0, no_location=True)
    header = (
        f'msgid ""\nmsgstr ""\n"Language: {language}\\n"\n"Content-Type: text/plain; charset=utf-8\\n"\n'
        f'"Plural-Forms: {catalogue.plural_forms}\\n"\n\n'
    )
    file = _file_of(language)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(header.encode() + body.getvalue())
    for message in catalogue:
        if message.id and not is_translated(message):
            yield message.id if isinstance(message.id, str) else message.id[0]


def is_translated(message: Message) -> bool:
    """In all the forms that the language has."""
    forms = message.string if isinstance(message.string, list | tuple) else [message.string]
    return all(forms)


def _file_of(language: str) -> Path:
    return FOLDER / "locale" / language / "dashboard.po"


def main() -> int:
    missing = [(language, text) for language in LANGUAGES if language != SOURCE for text in renew(language)]
    for language, text in missing:
        sys.stdout.write(f"{language}: {text}\n")
    sys.stdout.write(f"{len(missing)} without a translation\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
