"""The review desk: inspect, relabel and agree, in a browser (`streamlit run curation_app`)."""
