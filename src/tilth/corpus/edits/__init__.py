"""Edits of single documents' texts; none of them rejects a document.

repair      Unicode, line ends, control characters
markup      tags, entities, Markdown, BBCode
lines       boilerplate lines                       boilerplate    patterns of page furniture
symbols     emoji and pictures into words           symbol_names   their Chinese names
split       very long documents into parts
"""
