//! Papers (文书): agreements as PDF/A. The only crate that draws pages.
