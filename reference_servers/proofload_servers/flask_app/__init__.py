"""Flask under gunicorn's threads: `python -m proofload_servers.flask_app --model scorer`."""
