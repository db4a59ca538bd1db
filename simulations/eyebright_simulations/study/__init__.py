"""`eyebright study`: which parts of a recipe earn their place, and which teacher is worth listening to.

* ``options`` is what was asked, ``arms`` are the recipes compared, ``folds`` says who trains on what.
* ``pictures``, ``teachers`` and ``students`` are the work, one job per process; ``records`` is what each leaves behind.
* ``schedule`` puts the jobs in order, ``run`` does them.
* ``resampling`` and ``analysis`` turn predictions into numbers with intervals, and ``verdicts`` those into words.
* ``result_schema`` is ``result.json``; ``table``, ``plot`` and ``summary`` show it.
"""
