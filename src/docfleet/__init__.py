"""Document AI platform: PDFs, scans and images into trusted results."""
