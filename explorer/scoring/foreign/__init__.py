"""Detections as other libraries write them, turned into COCO results: files, folders of files, and objects at hand.

Images are told by what their files are called, classes by name where there are names, else by their place among the
data's classes.
"""
