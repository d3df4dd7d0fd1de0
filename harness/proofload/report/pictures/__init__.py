"""The pictures, one file each: functions of views that return one self-contained, deterministic SVG element.

All are drawn 4.9 inches wide, so that their lettering is still read on a phone without scrolling.
"""
