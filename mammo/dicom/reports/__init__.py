"""Structured reports about the findings on a mammogram.

codes.py               words of BI-RADS as codes of the standard's context groups
report.py              what a report says: findings with their measurements
measurement_report.py  writes TID 1500 (Comprehensive SR)
mammography_cad.py     writes TID 4000 (Mammography CAD SR), for viewers that know only that
content_items.py       content items, as pydicom data sets
reading.py             reads both
"""
