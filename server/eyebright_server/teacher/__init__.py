"""The operator's teacher: from a folder of pictures to one file that hospitals learn from.

* Three commands, each with a folder of its own as its result: ``prepare`` (pictures), ``pretrain`` (an encoder that
  never saw a label), ``train`` (the teacher). The method is learning's; here are the folders, the facts that are kept
  about them, and what a person reads.
* A result folder belongs to one run. It is not written over, and a killed run is continued in it with the same bits.
* Under ``torchrun -m eyebright_server.teacher`` the last two share their work among processes.
* Importing this package imports no torch, so that the server's other commands start at once.
"""
