/** The release, as package.json and CHANGELOG.md name it (a test compares them). */
export const VERSION = "0.1.0";
