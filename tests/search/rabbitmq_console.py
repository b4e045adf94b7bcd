"""Erlang expressions evaluated in a running node at once: rabbitmqctl takes a second of processor time for each."""

import os
import re
import subprocess

from bidetest.process import die_with_parent

LOOP = """
Loop = fun Loop() ->
    case io:get_line("") of
        Line when is_list(Line) ->
            {ok, Tokens, _} = erl_scan:string(Line),
            {ok, Expressions} = erl_parse:parse_exprs(Tokens),
            io:format("~0p~n", [rpc:call(Node, erl_eval, exprs, [Expressions, []], 30000)]),
            Loop();
        _ -> halt()
    end
end,
Loop().
"""


class Console:
    """Use it in a with statement. `folder`: where server-rabbitmq keeps the node."""

    def __init__(self, folder, node="bide1@localhost"):
        self.folder, self.node = folder, node

    def __enter__(self):
        port = re.search(r"epmd_port=(\d+)", (self.folder / "ports").read_text()).group(1)
        code = f"Node = '{self.node}', {LOOP}"
        self.process = subprocess.Popen(
            ["erl", "-noshell", "-hidden", "-sname", f"console{os.getpid()}@localhost",
             "-kernel", "inet_dist_use_interface", "{127,0,0,1}", "-eval", code],
            env={**os.environ, "HOME": str(self.folder), "ERL_EPMD_PORT": port, "ERL_EPMD_ADDRESS": "127.0.0.1"},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, preexec_fn=die_with_parent)
        return self

    def __exit__(self, *failure):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.kill()
        self.process.wait()

    def __call__(self, expression):
        """What it comes to, as Erlang prints it."""
        self.process.stdin.write(expression.replace("\n", " ") + ".\n")
        self.process.stdin.flush()
        said = self.process.stdout.readline().strip()
        if not said.startswith("{value,"):
            raise AssertionError(f"{expression}: {said}")
        return said
