"""`eyebright study`: which parts of a recipe earn their place, which teacher to listen to, what is owed to the site.

* ``options`` is what was asked, ``arms`` are the recipes compared, ``folds`` says who trains on what.
* ``pictures``, ``teachers`` and ``students`` are the work, one job per process; ``records`` is what each leaves behind.
* ``schedule`` puts the jobs in order, ``run`` does them.
* ``resampling`` and ``analysis`` turn predictions into numbers with intervals, and ``verdicts`` those into words.
* ``result_schema`` is ``result.json``; ``table``, ``plot`` and ``summary`` show it.
* ``crossval…`` is the published OCT recipe on folds, ``sites…`` pooled against leave-one-site-out training.
"""
