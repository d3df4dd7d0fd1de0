"""FastAPI under uvicorn, inference off the event loop: `python -m proofload_servers.fastapi_app --model scorer`."""
