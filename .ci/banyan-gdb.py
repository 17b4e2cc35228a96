"""Banyan in gdb: pids, processes and mailboxes, of a program or a core dump.

    make debug
    gdb -x .ci/banyan-gdb.py --args lua5.4 program.lua

    byn-pid EXPR          the pid or ref that a byn_id names, or a byn_process,
                          as Lua prints it
    byn-processes [NODE]  the processes of a byn_node
    byn-mailbox [PROCESS] what waits for a byn_process, the first to come first

NODE and PROCESS are expressions. Without one, it is the first variable of that
type in this frame or in one of those that called it. `print` shows a byn_id as
a pid, too. Nothing here runs code of the program.
"""

import gdb


def text(pointer, missing):
    return pointer.string(errors="replace") if pointer else missing


def typed(value):
    """The name of the struct that a value is or points to, and that struct."""
    kind = value.type.strip_typedefs()
    if kind.code == gdb.TYPE_CODE_PTR:
        if int(value) == 0:
            raise gdb.GdbError("a null pointer")
        value = value.dereference()
        kind = value.type.strip_typedefs()
    return (kind.tag or kind.name), value


def evaluate(expression, wanted):
    name, value = typed(gdb.parse_and_eval(expression))
    if name != wanted:
        raise gdb.GdbError("%s is no %s but a %s" % (expression, wanted, name))
    return value


def variables(frame):
    block = frame.block()
    while block and not block.is_global and not block.is_static:
        for symbol in block:
            if symbol.is_variable or symbol.is_argument:
                yield symbol
        block = block.superblock


def points_to(value, wanted):
    kind = value.type.strip_typedefs()
    if kind.code != gdb.TYPE_CODE_PTR or value.is_optimized_out:
        return False
    target = kind.target().strip_typedefs()
    return target.tag == wanted and int(value) != 0


def around(wanted):
    """The first variable of that type here or further up; or None."""
    frame = gdb.selected_frame()
    while frame:
        try:
            for symbol in variables(frame):
                value = symbol.value(frame)
                if points_to(value, wanted):
                    return value.dereference()
        except (RuntimeError, gdb.error):
            pass  # code without debug information
        frame = frame.older()
    return None


def id_text(id):
    if not id["origin"]:
        return "no pid"
    name = text(id["origin"]["name"], "?")
    if int(id["kind"]) == 1:
        return "pid<%s %d.%d>" % (name, id["index"], id["serial"])
    return "ref<%s %d>" % (name, id["serial"])


def enum_word(name, number):
    """BYN_WAIT_REPLY of enum byn_wait as "reply"."""
    kind = gdb.lookup_type("enum " + name)
    names = {f.enumval: f.name for f in kind.fields()}
    return names.get(number, str(number)).split("_")[-1].lower()


def state_text(p):
    state = enum_word("byn_process_state", int(p["state"]))
    if state == "idle" and p["co"]:
        return "waits:" + enum_word("byn_wait", int(p["wait"]))
    return state


def value_text(value):
    """Lua's types: 0 nil, 1 boolean, 3 number; all others are in a slot."""
    kind = int(value["type"])
    if kind == 0:
        return "nil"
    if kind == 1:
        return "true" if int(value["as"]["integer"]) else "false"
    if kind == 3:
        field = "number" if value["is_float"] else "integer"
        return str(value["as"][field])
    return "slot %d" % value["as"]["slot"]


class Pid(gdb.Command):
    """byn-pid EXPR: a byn_id or the id of a byn_process, as Lua prints it."""

    def __init__(self):
        super().__init__("byn-pid", gdb.COMMAND_USER, gdb.COMPLETE_EXPRESSION)

    def invoke(self, argument, from_tty):
        name, value = typed(gdb.parse_and_eval(argument))
        if name == "byn_process":
            value = value["id"]
        elif name != "byn_id":
            raise gdb.GdbError("%s has no pid" % name)
        print(id_text(value))


class Processes(gdb.Command):
    """byn-processes [NODE]: the processes of a byn_node, one a line."""

    ROW = "%-32s %-15s %-16s %5s %9s"

    def __init__(self):
        super().__init__("byn-processes", gdb.COMMAND_USER,
                         gdb.COMPLETE_EXPRESSION)

    def node(self, argument):
        if argument:
            return evaluate(argument, "byn_node")
        node = around("byn_node")
        process = None if node else around("byn_process")
        if process:
            node = process["node"].dereference()
        if not node:
            raise gdb.GdbError("no node in sight: byn-processes NODE")
        return node

    def invoke(self, argument, from_tty):
        node = self.node(argument)
        print("node %s, %d processes" % (text(node["name"], "without a name"),
                                         node["process_count"]))
        print(self.ROW % ("pid", "state", "behaviour", "mail", "relations"))
        for index in range(int(node["table_size"])):
            p = node["table"][index]
            if p:
                print(self.ROW % (
                    id_text(p["id"]), state_text(p),
                    text(p["behaviour"]["name"], "?"), p["mail"]["count"],
                    p["relations"]["count"]))


class Mailbox(gdb.Command):
    """byn-mailbox [PROCESS]: the mails of a byn_process, the oldest first.

    What is no number, boolean or nil is shown as the slot that holds it. A *
    stands before the last mail that selective receive has passed over."""

    def __init__(self):
        super().__init__("byn-mailbox", gdb.COMMAND_USER,
                         gdb.COMPLETE_EXPRESSION)

    def invoke(self, argument, from_tty):
        p = (evaluate(argument, "byn_process") if argument
             else around("byn_process"))
        if not p:
            raise gdb.GdbError("no process in sight: byn-mailbox PROCESS")
        box = p["mail"]
        print("%s, %d mails" % (id_text(p["id"]), box["count"]))
        mail = box["head"]
        while mail:
            kind = enum_word("byn_mail_kind", int(mail["kind"]))
            line = "%s %-8s %s" % ("*" if mail == box["cursor"] else " ", kind,
                                   value_text(mail["value"]))
            if mail["id"]["origin"]:
                line += "  " + id_text(mail["id"])
            print(line)
            mail = mail["next"]


class IdPrinter:
    def __init__(self, id):
        self.id = id

    def to_string(self):
        return id_text(self.id)


def printer(value):
    if value.type.strip_typedefs().tag == "byn_id":
        return IdPrinter(value)
    return None


Pid()
Processes()
Mailbox()
gdb.pretty_printers.append(printer)

# The watchdog's signal is no event, and the module is loaded by the program.
gdb.execute("handle SIGURG nostop noprint pass", to_string=True)
gdb.execute("set breakpoint pending on")
