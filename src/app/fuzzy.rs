//! Finding names by a few of their letters.

/// How well a pattern fits a name, smaller is better; `None`: not at all. The letters must come in order.
pub fn fit(pattern: &str, name: &str) -> Option<usize> {
    let (pattern, name) = (pattern.trim().to_lowercase(), name.to_lowercase());
    if pattern.is_empty() {
        return Some(0);
    }
    if name == pattern {
        return Some(0);
    }
    if name.starts_with(&pattern) {
        return Some(1);
    }
    let starts_word = name.split(['-', ' ', '_']).any(|word| word.starts_with(&pattern));
    if starts_word {
        return Some(2);
    }
    if let Some(at) = name.find(&pattern) {
        return Some(3 + at);
    }
    let mut letters = name.chars().enumerate();
    let (mut first, mut last) = (None, 0);
    for wanted in pattern.chars().filter(|letter| !letter.is_whitespace()) {
        let (at, _) = letters.find(|(_, letter)| *letter == wanted)?;
        first.get_or_insert(at);
        last = at;
    }
    Some(100 + last - first.unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beginnings_come_before_middles_and_middles_before_scattered_letters() {
        let mut names = ["pan-earlier", "zoom-in", "sql-of-panel", "panel", "spawn"];
        names.sort_by_key(|name| fit("pan", name).unwrap_or(usize::MAX));
        assert_eq!(names[..3], ["pan-earlier", "panel", "sql-of-panel"]);
        assert!(fit("zi", "zoom-in").is_some());
        assert_eq!(fit("xyz", "zoom-in"), None);
    }
}
