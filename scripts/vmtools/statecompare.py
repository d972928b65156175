# SPDX-License-Identifier: GPL-2.0-or-later
"""What breaks when one program's device state is loaded by another, found from their dumps.

A finding has a severity:
  break   the destination refuses the stream, or takes bytes for something which they are not
  unsure  the dumps do not tell: a field that is there only when a function says so, or one that
          may have been renamed, or may mean something else now
  note    a difference that does no harm
"""

from .statedump import Subsections

BREAK, UNSURE, NOTE = 'break', 'unsure', 'note'


class Finding:
    def __init__(self, severity, kind, device, field, expected, found, text):
        self.severity = severity
        self.kind = kind                    # a word for programs: --json
        self.device = device
        self.field = field
        self.expected = expected            # by the destination
        self.found = found                  # in what the source sends
        self.text = text

    def as_dict(self):
        return {k: v for k, v in vars(self).items() if v is not None}

    def line(self):
        where = f'device "{self.device}"' if self.device else 'machine'
        if self.field:
            where += f', "{self.field}"'
        return f'{self.severity}: {where}: {self.text}'


class Comparison:
    """Of one direction. `findings` when made."""

    def __init__(self, source, destination, only_common=False, devices=None):
        self.source = source
        self.destination = destination
        self.findings = []
        self.compared = 0
        self._device = ''
        if not devices and source.machine != destination.machine:
            self._add(BREAK, 'machine', None, destination.machine, source.machine,
                      f'expected machine type "{destination.machine}", '
                      f'found "{source.machine}"; start both with the same -machine')
        for name, device in sorted(source.devices.items()):
            if devices and name not in devices:
                continue
            self._device = name
            there = destination.devices.get(name) or self._other_type(device)
            if there is not None:
                self.compared += 1
                self._compare_device(device, there)
            else:
                self._add(NOTE if only_common else BREAK, 'device-missing', None, None,
                          device.description.name,
                          f'the destination has no such device; a machine that has it '
                          f'(section "{device.description.name}") cannot go there')
        for name in sorted(set(destination.devices) - set(source.devices)):
            if not devices or name in devices:
                self._device = name
                self._add(NOTE, 'device-added', None,
                          destination.devices[name].description.name, None,
                          'only the destination has this device')

    def count(self, severity):
        return sum(f.severity == severity for f in self.findings)

    def _add(self, severity, kind, field, expected, found, text):
        self.findings.append(Finding(severity, kind, self._device, field, expected, found, text))

    def _other_type(self, device):
        """A device type that only the destination has and that loads the same section."""
        same = [d for name, d in self.destination.devices.items()
                if name not in self.source.devices
                and d.description.name == device.description.name]
        if len(same) != 1:
            return None
        self._add(NOTE, 'type-renamed', None, same[0].name, device.name,
                  f'the destination calls the device "{same[0].name}"; '
                  f'the section has the same name, "{device.description.name}"')
        return same[0]

    def _compare_device(self, src, dst):
        if src.description.name != dst.description.name:
            self._add(BREAK, 'section-name', None, dst.description.name, src.description.name,
                      f'expected section "{dst.description.name}", '
                      f'found "{src.description.name}"')
        if self._versions(src.description, dst.description, None, 'section'):
            self._wire(src.description, dst.description, '')

    def _versions(self, src, dst, path, what):
        """Of what carries its version in the stream; False when it is not even looked into."""
        if src.version > dst.version:
            self._add(BREAK, 'version', path, dst.version, src.version,
                      f'{what} "{src.name}": expected version {dst.version} at most, '
                      f'found {src.version}')
            return False
        if src.version < dst.minimum:
            self._add(BREAK, 'version', path, dst.minimum, src.version,
                      f'{what} "{src.name}": expected version {dst.minimum} at least '
                      f'(minimum_version_id), found {src.version}')
            return False
        return True

    def _wire(self, src, dst, path):
        _Alignment(self, src.wire(self.source, src.version, path),
                   dst.wire(self.destination, src.version, path)).run()

    # Called by the alignment

    def subsections(self, src, dst, path):
        """Those that the source may send at one place, against those that can be read there."""
        for name, sub in sorted(src.items()):
            here = f'{path}/{name}' if path else name
            if name not in dst:
                self._add(BREAK, 'subsection-missing', here, None, name,
                          'the destination does not know this subsection; '
                          'it refuses the guest whenever the source needs to send it')
            elif self._versions(sub, dst[name], here, 'subsection'):
                self._wire(sub, dst[name], here)
        for name in sorted(set(dst) - set(src)):
            self._add(NOTE, 'subsection-added', f'{path}/{name}' if path else name, name, None,
                      'only the destination has this subsection; what it holds gets its default')

    def only_source(self, leaf):
        if leaf.conditional:
            self._add(UNSURE, 'field-missing', leaf.path, None, leaf.describe(),
                      f'sent on a condition ({leaf.describe()}), unknown to the destination')
        else:
            self._add(BREAK, 'field-missing', leaf.path, None, leaf.describe(),
                      f'expected no such field, found {leaf.describe()} (since version '
                      f'{leaf.version}); all that follows is misread')

    def only_destination(self, leaf):
        if leaf.conditional:
            self._add(UNSURE, 'field-added', leaf.path, leaf.describe(), None,
                      f'read on a condition ({leaf.describe()}), never sent by the source')
        else:
            self._add(BREAK, 'field-added', leaf.path, leaf.describe(), None,
                      f'expected {leaf.describe()} (since version {leaf.version}), found no such '
                      'field; all that follows is misread')

    def pair(self, src, dst):
        """Two leaves that stand for each other."""
        conditions = src.conditional != dst.conditional
        if not alike(src, dst):
            sure = BREAK if not (src.conditional or dst.conditional) else UNSURE
            self._add(sure, 'field-size', src.path, dst.describe(), src.describe(),
                      f'expected {dst.describe()}, found {src.describe()}'
                      + (', on a condition' if sure is UNSURE else ''))
        elif conditions:
            self._add(UNSURE, 'field-condition', src.path,
                      'on a condition' if dst.conditional else 'always',
                      'on a condition' if src.conditional else 'always',
                      'sent on a condition, always read' if src.conditional
                      else 'always sent, read on a condition')

    def renamed(self, src, dst):
        if not alike(src, dst):
            self._add(BREAK, 'field-replaced', src.path, f'{dst.path}: {dst.describe()}',
                      src.describe(), f'expected "{dst.path}" ({dst.describe()}), '
                      f'found {src.describe()}')
            return
        self._add(UNSURE, 'field-renamed', src.path, dst.path, src.path,
                  f'expected "{dst.path}" in its place, of the same size: '
                  'harmless if it is the same under another name')

    def moved(self, src, dst):
        self._add(BREAK, 'field-order', src.path, None, None,
                  'stands at another place in the destination\'s order')
        self.pair(src, dst)

    def padding(self, src, dst):
        """Leaves of both sides that fill the same bytes, unused ones among them."""
        for leaf in src:
            if not leaf.unused:
                self._add(NOTE, 'field-dropped', leaf.path, None, leaf.describe(),
                          f'{leaf.describe()} that the destination skips')
        for leaf in dst:
            if not leaf.unused:
                self._add(NOTE, 'field-zero', leaf.path, leaf.describe(), None,
                          f'{leaf.describe()} that the source sends as padding: zero')

    def padding_breaks(self, src, dst):
        self._add(BREAK, 'padding', src.path, f'{dst.path}: {dst.describe()}', src.describe(),
                  f'expected {dst.describe()} ("{dst.path}"), found {src.describe()}, and what '
                  'follows does not make up for it')


def alike(src, dst):
    """Whether they have the same form in the stream, as far as both dumps tell."""
    def same(a, b):
        return a is None or b is None or a == b
    if src.size != dst.size or not same(src.num, dst.num):
        return False
    if None in src.around or None in dst.around:
        return True                         # 7.2 does not tell an array of structs from a struct
    return src.around == dst.around


class _Alignment:
    """Walks both sides' leaves and says what stands for what."""

    def __init__(self, report, src, dst):
        self.report = report
        self.src = src
        self.dst = dst

    def run(self):
        i = j = 0
        while True:
            i, j = self._subsections(i, j)
            if i == len(self.src) or j == len(self.dst):
                break
            a, b = self.src[i], self.dst[j]
            if a.unused and b.unused and alike(a, b):
                self.report.pair(a, b)
                i, j = i + 1, j + 1
            elif a.unused or b.unused:
                i, j = self._padding(i, j)
            elif a.name == b.name:
                self.report.pair(a, b)
                i, j = i + 1, j + 1
            else:
                i, j = self._different(i, j)
        # Subsections further on have no partner any more, but are no less there
        self._rest(self.src[i:], self.report.only_source, True)
        self._rest(self.dst[j:], self.report.only_destination, False)

    def _rest(self, leaves, tell, is_source):
        self._each(leaves, tell)
        for place in leaves:
            if isinstance(place, Subsections):
                pair = (place.of, {}) if is_source else ({}, place.of)
                self.report.subsections(*pair, place.path)

    def _subsections(self, i, j):
        """Past the places of subsections that both sides have here."""
        src, dst, path = {}, {}, None
        while i < len(self.src) and isinstance(self.src[i], Subsections):
            src.update(self.src[i].of)
            path = self.src[i].path
            i += 1
        while j < len(self.dst) and isinstance(self.dst[j], Subsections):
            dst.update(self.dst[j].of)
            path = self.dst[j].path if path is None else path
            j += 1
        if src or dst:
            self.report.subsections(src, dst, path or '')
        return i, j

    @staticmethod
    def _find(leaves, start, leaf):
        for k in range(start, len(leaves)):
            if not isinstance(leaves[k], Subsections) and leaves[k].name == leaf.name:
                return k
        return None

    def _different(self, i, j):
        a, b = self.src[i], self.dst[j]
        a_there = self._find(self.dst, j + 1, a)
        b_here = self._find(self.src, i + 1, b)
        if a_there is not None and b_here is not None:
            self.report.moved(a, self.dst.pop(a_there))
            return i + 1, j
        if a_there is not None:
            self.report.only_destination(b)
            return i, j + 1
        if b_here is not None:
            self.report.only_source(a)
            return i + 1, j
        # One that is there on a condition can stand for nothing
        if a.conditional and not b.conditional and not alike(a, b):
            self.report.only_source(a)
            return i + 1, j
        if b.conditional and not a.conditional and not alike(a, b):
            self.report.only_destination(b)
            return i, j + 1
        self.report.renamed(a, b)
        return i + 1, j + 1

    def _padding(self, i, j):
        """From here on both sides fill the same number of bytes, with padding on one of them."""
        ends = [end for end in (self._fill(i, j), self._fill_untold(i, j)) if end is not None]
        # Where there is a choice, what follows decides.
        ends.sort(key=lambda end: not self._goes_on(*end))
        if ends:
            m, n = ends[0]
            self.report.padding(self.src[i:m], self.dst[j:n])
            return m, n
        a, b = self.src[i], self.dst[j]
        if a.unused and not b.unused:
            k = self._find(self.src, i + 1, b)
            if k is not None:               # it is just more padding than there was
                self._each(self.src[i:k], self.report.only_source)
                return k, j
        elif b.unused and not a.unused:
            k = self._find(self.dst, j + 1, a)
            if k is not None:
                self._each(self.dst[j:k], self.report.only_destination)
                return i, k
        self.report.padding_breaks(a, b)
        return i + 1, j + 1

    @staticmethod
    def _each(leaves, tell):
        for leaf in leaves:
            if not isinstance(leaf, Subsections):
                tell(leaf)

    def _goes_on(self, m, n):
        """Whether the same comes next on both sides."""
        if m == len(self.src) or n == len(self.dst):
            return m == len(self.src) and n == len(self.dst)
        a, b = self.src[m], self.dst[n]
        if isinstance(a, Subsections) or isinstance(b, Subsections):
            return isinstance(a, Subsections) and isinstance(b, Subsections)
        return a.name == b.name

    def _fill(self, i, j):
        """As many leaves of each side as have the same length together, so that no two values
        lie over each other; answers where they end. A count that is not told is taken as 1."""
        m, n = i + 1, j + 1
        spans = [[(0, _length(self.src[i]), self.src[i])], [(0, _length(self.dst[j]), self.dst[j])]]
        while spans[0][-1][1] != spans[1][-1][1]:
            side = 0 if spans[0][-1][1] < spans[1][-1][1] else 1
            leaves, k = ((self.src, m), (self.dst, n))[side]
            if k == len(leaves) or isinstance(leaves[k], Subsections):
                return None
            at = spans[side][-1][1]
            spans[side].append((at, at + _length(leaves[k]), leaves[k]))
            m, n = m + (side == 0), n + (side == 1)
        if any(leaf.conditional for span in spans for _, _, leaf in span):
            return None
        for begin, end, a in spans[0]:
            for start, stop, b in spans[1]:
                if begin < stop and start < end and not a.unused and not b.unused:
                    return None
        return m, n

    def _fill_untold(self, i, j):
        """An element of an array whose count is not told, against padding."""
        a, b = self.src[i], self.dst[j]
        if a.conditional or b.conditional:
            return None
        for value, padding in ((a, b), (b, a)):
            if value.num is None and value.size and padding.unused \
                    and _length(padding) % value.size == 0:
                return i + 1, j + 1
        return None


def _length(leaf):
    total = leaf.bytes()
    return leaf.size if total is None else total
