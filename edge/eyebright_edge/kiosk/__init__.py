"""The technician's screen: a local web page in front of the desk, in four languages, by touch, keyboard or ear.

* ``app``: the pages and what each form does. ``views`` turns a visit into what a page shows.
* ``logins`` and ``technicians``: a PIN for each technician, and the lock after a pause; the PIN opens the records
  (``records.unit_records``), and the last lock closes them.
* ``inbox``: the folder that the camera saves into. ``health``: how the unit is. ``palette``: the colours.
* ``serve``: loopback only, unless it is told a certificate.

It is plain HTML and forms; the script adds comfort (a touch keypad, new pictures as they come). No page needs the
network, and none loads a byte from anywhere but this unit (``docs/adr/0023``).
"""
