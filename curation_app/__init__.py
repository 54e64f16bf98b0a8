"""The curation app: review, relabel and compare in a browser (`streamlit run curation_app`)."""
