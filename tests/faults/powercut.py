"""What a power cut leaves: computed from the calls of a run, as CrashMonkey does (OSDI 2018).

A call that changes files or folders is only in memory until something is flushed: a file's bytes by fsync() of the file, names
by fsync() of their folder. At any call the machine may go dark; then there is what was flushed, and of the rest, which the
kernel writes when it likes, nothing (`lost`), or all names but not the bytes of files (`names`: ext4 without its own care for
renamed files), or the names alone up to some call (`some`). Modes and times are not looked at.
"""

import os
import re
import stat

OPENS, RENAMES = {2, 85, 257, 437}, {82, 264, 316}
# write, pwrite64, writev, pwritev, pwritev2, sendfile, splice, copy_file_range: whichever it is, the trace has the bytes.
WRITES, SYNCS, TRUNCATES = {1, 18, 20, 296, 328, 40, 275, 326}, {74, 75}, {76, 77}
ALL_SYNCS = {162, 306}
# dup, socket, eventfd2, pipe2 make no file; sync_file_range promises nothing for a power cut (its manual page).
NOTHING = {32, 41, 290, 293, 277}
LINKS, SYMLINKS, UNLINKS, MKDIRS = {86, 265}, {88, 266}, {87, 84, 263}, {83, 258}


class Node:
    """A file, a folder or a link, as it is and as it is on the disk."""

    def __init__(self, kind, content=b"", inode=None):
        self.kind, self.inode = kind, inode
        # Of a folder: names to nodes.
        self.now = {} if kind == "folder" else bytearray(content)
        self.kept = {} if kind == "folder" else bytes(content)

    def copy_now(self):
        return dict(self.now) if self.kind == "folder" else bytes(self.now)


class Disk:
    """The files below `top`, as a run left them that is replayed call by call."""

    def __init__(self, top):
        self.top = os.path.realpath(os.fsencode(top))
        self.by_inode = {}
        self.root = self.scan(self.top)

    def scan(self, path):
        info = os.lstat(path)
        if stat.S_ISDIR(info.st_mode):
            node = Node("folder", inode=info.st_ino)
            node.now = {name: self.scan(os.path.join(path, name)) for name in os.listdir(path)}
            node.kept = dict(node.now)
        elif stat.S_ISLNK(info.st_mode):
            node = Node("link", os.readlink(path), info.st_ino)
        elif info.st_ino in self.by_inode:
            return self.by_inode[info.st_ino]
        else:
            with open(path, "rb") as file:
                node = Node("file", file.read(), info.st_ino)
        self.by_inode[info.st_ino] = node
        return node

    def parent(self, path):
        """The folder node of a path below `top`, and the last name; None elsewhere."""
        path = os.path.normpath(path)
        if path == self.top or not path.startswith(self.top + b"/"):
            return None, None
        *folders, name = path[len(self.top) + 1:].split(b"/")
        node = self.root
        for folder in folders:
            node = node.now.get(folder) if node.kind == "folder" else None
            if node is None:
                return None, None
        return (node, name) if node.kind == "folder" else (None, None)

    def at(self, path):
        if os.path.normpath(path) == self.top:
            return self.root
        folder, name = self.parent(path)
        return folder.now.get(name) if folder else None

    def apply(self, call):
        """Gives the nodes whose bytes it changed, for `names` to lose."""
        number, result, inode, offset, argument, path, other, data = call
        if number in OPENS:
            node = self.at(path)
            if node is not None and node.kind == "folder" and stat.S_ISREG(offset):
                # O_TMPFILE: a file without a name.
                self.by_inode[inode] = Node("file", inode=inode)
            elif node is None and stat.S_ISREG(offset):
                folder, name = self.parent(path)
                if folder is not None:
                    self.by_inode[inode] = folder.now[name] = Node("file", inode=inode)
            elif node is not None and node.kind != "link":
                node.inode = inode
                self.by_inode[inode] = node
                if argument & os.O_TRUNC and node.kind == "file":
                    node.now[:] = b""
        elif number in WRITES:
            node = self.by_inode.get(inode)
            if node is not None and node.kind == "file":
                if len(node.now) < offset:
                    node.now.extend(bytes(offset - len(node.now)))
                node.now[offset:offset + len(data)] = data
        elif number in TRUNCATES:
            node = self.by_inode.get(inode) if number == 77 else self.at(path)
            if node is not None and node.kind == "file":
                del node.now[argument:]
                node.now.extend(bytes(argument - len(node.now)))
        elif number in SYNCS:
            node = self.by_inode.get(inode) or self.at(path)
            if node is not None:
                node.kept = node.copy_now()
        elif number in ALL_SYNCS:
            self.flush(self.root)
        elif number in MKDIRS:
            folder, name = self.parent(path)
            if folder is not None:
                folder.now[name] = Node("folder")
        elif number in SYMLINKS:
            folder, name = self.parent(path)
            if folder is not None:
                folder.now[name] = Node("link", other)
        elif number in LINKS:
            node = self.by_inode.get(inode) or self.at(path)
            folder, name = self.parent(other)
            if folder is not None and node is not None:
                folder.now[name] = node
        elif number in UNLINKS:
            folder, name = self.parent(path)
            if folder is not None:
                folder.now.pop(name, None)
        elif number in RENAMES:
            self.rename(path, other, exchange=number == 316 and argument & 2)
        elif number not in NOTHING:
            raise ValueError(f"the replay does not know system call {number}, which changed {path!r}")

    def rename(self, path, other, exchange):
        (old, name), (new, onto) = self.parent(path), self.parent(other)
        if old is None or new is None or name not in old.now:
            return
        node, there = old.now.pop(name), new.now.pop(onto, None)
        new.now[onto] = node
        if exchange and there is not None:
            old.now[name] = there

    def flush(self, node):
        node.kept = node.copy_now()
        for child in node.now.values() if node.kind == "folder" else ():
            self.flush(child)

    def lost(self):
        """What was flushed, and nothing else."""
        return self.tree(self.root, lambda node: node.kept)

    def names(self):
        """All names, but of files what was flushed."""
        return self.tree(self.root, lambda node: node.now if node.kind == "folder" else node.kept)

    def all(self):
        """As a kill leaves it: nothing is lost."""
        return self.tree(self.root, lambda node: node.now)

    def tree(self, node, of, path=b"", found=None):
        found = {} if found is None else found
        for name, child in of(node).items():
            below = os.path.join(path, name)
            found[below] = (child.kind, None if child.kind == "folder" else bytes(of(child)), child)
            if child.kind == "folder":
                self.tree(child, of, below, found)
        return found


def read(path):
    """The calls of a trace of inject.c."""
    calls = []
    with open(path, "rb") as file:
        while line := file.readline():
            number, result, place, offset, argument, first, second = line.split()
            number, result = int(number), int(result)
            name, other = file.read(int(first)), file.read(int(second))
            data = file.read(result) if number in WRITES else b""
            file.read(1)
            calls.append((number, result, int(place.split(b":")[1]), int(offset), int(argument), name, other, data))
    return calls


def lay(tree, top):
    """Makes the folder what the tree says. What names inode numbers, the journal of a restore, gets those of the new files."""
    top = os.fsencode(top)
    for parent, folders, files in os.walk(top, topdown=False):
        for name in folders + files:
            path = os.path.join(parent, name)
            wanted = tree.get(os.path.relpath(path, top))
            is_folder = os.path.isdir(path) and not os.path.islink(path)
            if wanted is None or (wanted[0] == "folder") != is_folder:
                if is_folder:
                    if not any(os.path.relpath(path, top) + b"/" == below[:len(os.path.relpath(path, top)) + 1] for below in tree):
                        os.rmdir(path)
                else:
                    os.unlink(path)
    numbers, made = {}, {}
    for below in sorted(tree):
        kind, content, node = tree[below]
        path = os.path.join(top, below)
        if kind == "folder":
            os.makedirs(path, mode=0o700, exist_ok=True)
        elif kind == "link":
            if not os.path.islink(path) or os.readlink(path) != content:
                if os.path.lexists(path):
                    os.unlink(path)
                os.symlink(content, path)
        elif id(node) in made:
            if os.path.lexists(path):
                os.unlink(path)
            os.link(made[id(node)], path)
        else:
            mode = stat.S_IMODE(os.lstat(path).st_mode) if os.path.lexists(path) else 0o600
            if os.path.islink(path):
                os.unlink(path)
            with open(path, "wb") as file:
                file.write(content)
            os.chmod(path, mode)
            made[id(node)] = path
        if node.inode is not None:
            numbers[str(node.inode)] = str(os.lstat(path).st_ino)
    journal = os.path.join(top, b"state/restore.json")
    if os.path.isfile(journal):
        with open(journal) as file:
            text = file.read()
        with open(journal, "w") as file:
            file.write(re.sub(r"\b\d+\b", lambda number: numbers.get(number[0], number[0]), text))
