"""Finds circles between the files of a crate, and between its folders: check_circles.py SRC_DIR...

A file depends on another if it names an item of it, by `use` or by a path, or if it calls a method that the other file adds
to a type which it defines or imports. A re-export counts as an item of the file that re-exports. Declarations (`mod x;`) and
tests in a file don't count. Two folders depend on each other if their files do. A reader of a crate without circles can
start at any leaf (decision 41).
"""

import pathlib
import re
import sys

STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
USE = re.compile(r"\buse\s+([^;]+);")
PATH = re.compile(r"\b(?:crate|super|self)(?:::\w+)+")
TESTS = re.compile(r"#\[cfg\(test\)\]\s+(?:#\[[^\]]*\]\s+)*(?:pub(?:\([^)]*\))? )?mod tests \{")
# As rustfmt writes it; one of a trait has `for` before the brace.
INHERENT_IMPL = re.compile(r"^impl(?:<[^>]*>)? (\w+)(?:<[^>]*>)?\s*(?:where[^{]*)?\{(.*?)^\}", re.MULTILINE | re.DOTALL)
# Of a method on a variable, and not on a field or an answer, which are of other types; or of a type's function.
CALL = re.compile(r"(?<![\w.])(?:([A-Z]\w*)::|[a-z_]\w*\s*\.\s*)(\w+)(?:::<[^>]*>)?\(")


def module_of(file, source):
    """The path of the module that a file is: () for lib.rs and main.rs."""
    parts = file.relative_to(source).with_suffix("").parts
    return parts[:-1] if parts[-1] in ("mod", "lib", "main") else parts


def expanded(tree):
    """The paths of a use tree: a::{b, c::{d, e}} is a::b, a::c::d and a::c::e."""
    tree = tree.strip()
    if "{" not in tree:
        return [re.sub(r"\s+as\s+\w+$", "", tree)]
    head, body = tree[: tree.index("{")], tree[tree.index("{") + 1 : tree.rindex("}")]
    items, depth, item = [], 0, ""
    for char in body + ",":
        depth += {"{": 1, "}": -1}.get(char, 0)
        if char == "," and depth == 0:
            items.append(item)
            item = ""
        else:
            item += char
    return [head + path for item in items if item.strip() for path in expanded(item)]


def absolute(path, here, children):
    """A path from the crate's root; None for a path of another crate."""
    parts = [part.strip() for part in path.split("::") if part.strip() not in ("", "*")]
    if parts[0] == "crate":
        return parts[1:]
    if parts[0] == "self" or parts[0] in children:
        return [*here, *parts[parts[0] == "self" :]]
    if parts[0] == "super":
        while parts and parts[0] == "super":
            here, parts = here[:-1], parts[1:]
        return [*here, *parts]
    return None


def calls_between(texts, named):
    """For each module those whose methods it calls. They are of a type that it knows, and that another module defines.

    What type a variable is of isn't known, so a method of another type with the same name counts, too.
    """
    called = {module: set(CALL.findall(text)) for module, text in texts.items()}
    found = {module: set() for module in texts}
    for module, text in texts.items():
        for kind, body in INHERENT_IMPL.findall(text):
            added = {(of, method) for method in re.findall(r"\bfn (\w+)", body) for of in ("", "Self", kind)}
            for definer in {at for at, item in named[module] if item == [kind]}:
                for caller in texts:
                    knows = caller == definer or (definer, [kind]) in named[caller]
                    if knows and added & called[caller]:
                        found[caller].add(module)
    return found


def dependencies(source):
    """For each module those that it depends on."""
    # If there are a library and a program, only the library is checked.
    files = {module_of(file, source): file for file in sorted(source.rglob("*.rs"), reverse=True)}
    texts, named = {}, {}
    for here, file in files.items():
        text = TESTS.split(file.read_text(encoding="utf-8"))[0]
        text = STRING.sub('""', re.sub(r"//[^\n]*", "", text))
        children = {name[-1] for name in files if name and name[:-1] == here}
        body = USE.sub("", text)
        paths = [path for tree in USE.findall(text) for path in expanded(tree)] + PATH.findall(body)
        paths += [f"self::{child}" for child in children if re.search(rf"(?<![:\w.]){child}::", body)]
        texts[here], named[here] = text, []
        for path in paths:
            parts = absolute(path, here, children)
            if parts is not None:
                lengths = range(len(parts), -1, -1)
                length = next(n for n in lengths if tuple(parts[:n]) in files)
                named[here].append((tuple(parts[:length]), parts[length:]))
    calls = calls_between(texts, named)
    return {here: ({target for target, _ in named[here]} | calls[here]) - {here} for here in files}


def circles(graph):
    """The strongly connected components of more than one node (Tarjan)."""
    index, low, stack, result = {}, {}, [], []

    def visit(node):
        index[node] = low[node] = len(index)
        stack.append(node)
        for target in graph[node]:
            if target not in index:
                visit(target)
                low[node] = min(low[node], low[target])
            elif target in stack:
                low[node] = min(low[node], index[target])
        if low[node] == index[node]:
            component = stack[stack.index(node) :]
            del stack[stack.index(node) :]
            if len(component) > 1:
                result.append(component)

    for node in graph:
        if node not in index:
            visit(node)
    return result


def between_folders(graph, folder):
    """The same between the entries of a folder, each with all that is below it."""
    depth = len(folder) + 1
    merged = {}
    for here, targets in graph.items():
        if len(here) >= depth and here[: depth - 1] == folder:
            entry = merged.setdefault(here[:depth], set())
            inside = (target[:depth] for target in targets if len(target) >= depth and target[: depth - 1] == folder)
            entry.update(target for target in inside if target != here[:depth])
    return merged


def name(module):
    return "::".join(module) or "the root"


def report(source):
    """Prints the circles of a crate; whether there are any."""
    graph = dependencies(source)
    folders = sorted({module[:n] for module in graph for n in range(len(module))})
    found = [("files", graph, circle) for circle in circles(graph)]
    for folder in folders:
        merged = between_folders(graph, folder)
        found += [(f"folders of {name(folder)}", merged, circle) for circle in circles(merged)]
    for kind, edges, circle in found:
        print(f"{source}: circle of {kind}:")
        for here in circle:
            print("".join(f"  {name(here)} -> {name(target)}\n" for target in sorted(edges[here]) if target in circle), end="")
    return bool(found)


if __name__ == "__main__":
    sys.exit(any([report(pathlib.Path(argument)) for argument in sys.argv[1:]]))
