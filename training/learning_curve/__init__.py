"""The learning curve: the gate's measure against the number of corrected patients, and what it forecasts."""
