"""The Locust front door, but for the one module that imports Locust (`proofload.locust_adapter`).

Two processes, because Locust replaces half of the standard library as it is imported:

    the lab                          Locust
    session.py   conducts runs  <->  locust_adapter.py   page, charts, workers' coming and going, gevent users
    channel.py   what both talk through
    form.py      what is asked on the page
    charts.py    samples as Locust's page counts them

and, for more than one machine, engines of workers under the orders of the master's lab:

    remote.py    an engine elsewhere, as the recorder sees it
    joining.py   the master's lab takes workers in
    worker.py    a worker's lab: drives engine processes of its own, ships their samples

Ad-hoc gevent users are such an engine, too, in the Locust process: users.py, by way of calls/.
"""
