"""Reports: a run, a comparison or an autopsy as tables, JSON, COCO files and one page that opens anywhere."""
