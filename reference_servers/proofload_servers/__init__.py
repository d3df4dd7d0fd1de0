"""Reference model servers, as a good team would run them in production. Programs: nothing imports them."""
