# SPDX-License-Identifier: GPL-2.0-or-later
"""The interface generator: reads qapi/*.json, writes C and documentation.

source   text with positions, and the one exception that every complaint uses
parser   text -> positioned tables, lists and strings, with doc comments attached
docs     the doc comments' own little grammar
model    types, commands, events
schema   tables -> checked model
common   C names, conditions and the writer of C text
types, visit, commands, events, introspect, manual: one generator each
"""
