//! What ships with the program and the demo needs: the workflows, and the tool that they call.

macro_rules! shipped {
    ($file:literal) => {
        ($file, include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../workflows/", $file)))
    };
}

/// The workflows of `workflows/`: file and source.
pub(super) const WORKFLOWS: [(&str, &str); 13] = [
    shipped!("analyze_multiple_repos.py"),
    shipped!("compare_texts.py"),
    shipped!("compute_text_statistics.py"),
    shipped!("convert_csv_to_records.py"),
    shipped!("deduplicate_records.py"),
    shipped!("extract_links.py"),
    shipped!("fetch_and_summarize.py"),
    shipped!("fetch_json.py"),
    shipped!("fetch_page_links.py"),
    shipped!("get_repo_metadata.py"),
    shipped!("parse_feed.py"),
    shipped!("render_markdown_table.py"),
    shipped!("summarize_csv.py"),
];

/// The tool file of curl.
pub(super) const CURL: &str =
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../tools/curl.yaml"));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_ships_is_left_out() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../workflows");
        let mut files: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name.ends_with(".py"))
            .collect();
        files.sort();
        assert_eq!(files, WORKFLOWS.map(|(file, _)| file));
    }
}
