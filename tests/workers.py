"""Runs groups of tests by several processes, for `tap.py`: each takes the next group when it has done one."""

import collections
import io
import multiprocessing
import os
import sys
import unittest
from multiprocessing.connection import wait


class Worker:
    """A process that runs the groups it is given. What each of its tests prints is handed over whole."""

    def __init__(self, groups, result, others):
        self.group = None
        self.connection, end = multiprocessing.Pipe()
        # Else both processes would print what is in it.
        sys.stdout.flush()
        self.pid = os.fork()
        if self.pid:
            end.close()
            return
        # While another process has these open, the end of the one that they belong to is not seen.
        for connection in (self.connection, *others):
            connection.close()
        work(end, groups, result)
        # The interpreter stops the servers that the tests have started.
        sys.exit()

    def give(self, group):
        """A group to run; with None it leaves. One that has died is noticed where its answers are read."""
        self.group = group
        try:
            self.connection.send(group)
        except OSError:
            pass

    def ended(self):
        """Says what a worker did not do that has died; whether it has done everything."""
        self.connection.close()
        code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        if self.group is not None:
            print(f"not ok - {self.group}\n#   The process that ran its tests ended with {code}; those not listed were not run.", flush=True)
        return self.group is None and code == 0


def work(connection, groups, result):
    collected = sys.stdout = io.StringIO()

    def hand_over():
        connection.send(collected.getvalue())
        collected.seek(0)
        collected.truncate()

    result.on_end = hand_over
    try:
        while (group := connection.recv()) is not None:
            unittest.TestSuite(groups[group]).run(result)
            hand_over()
            connection.send(result.wasSuccessful())
    except (EOFError, OSError):
        # Nobody is there any more who wants to know.
        return


def run(groups, result, names, jobs):
    """Runs the named groups of `groups`, which has the tests of each, in this order; whether all passed."""
    good, queue, workers = True, collections.deque(names), {}
    while queue or workers:
        while queue and len(workers) < jobs:
            worker = Worker(groups, result, list(workers))
            workers[worker.connection] = worker
            worker.give(queue.popleft())
        for connection in wait(list(workers)):
            try:
                told = connection.recv()
            except (EOFError, OSError):
                good &= workers.pop(connection).ended()
                continue
            if isinstance(told, str):
                print(told, end="", flush=True)
            else:
                good &= told
                workers[connection].give(queue.popleft() if queue else None)
    return good
