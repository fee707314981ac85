"""Input: files of several formats in, batches of documents and unreadable records out.

find_files    which files the recipe's `sources:` name             plan_units    how they are shared among workers
read_unit     the documents of a unit, in batches of bounded size   Unreadable    what could not be read, and why

files        find_files, plan_units                  streams     bytes out of plain, gzip and zstd files, torn or not
formats      JSON Lines, Parquet, CSV, text          docstrings  documentation inside Python files
records      from a record to a document's columns   batches     read_unit
json_lines   what one line of JSON says              json_items  the items of JSON that is no JSON Lines
"""

from tilth.corpus.sources.batches import Batch, read_unit
from tilth.corpus.sources.files import InputFile, Unit, find_files, plan_units, would_read
from tilth.corpus.sources.formats import Unreadable, is_json_lines, read_jsonl, read_parquet
from tilth.corpus.sources.records import TEXT_NAMES, Unusable
from tilth.corpus.sources.streams import Stream

__all__ = [
    "TEXT_NAMES",
    "Batch",
    "InputFile",
    "Stream",
    "Unit",
    "Unreadable",
    "Unusable",
    "find_files",
    "is_json_lines",
    "plan_units",
    "read_jsonl",
    "read_parquet",
    "read_unit",
    "would_read",
]
