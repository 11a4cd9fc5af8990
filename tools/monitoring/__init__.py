"""Rules, alarms, their routes and dashboards as data; `tools/write_monitoring.py` writes the files made from them."""
