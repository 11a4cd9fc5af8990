"""What of the console draws itself in the browser: the list of documents, the uploads, the viewer.

Plain JavaScript without parts of others (`parts/`); texts of documents are only ever set as text there.
"""
