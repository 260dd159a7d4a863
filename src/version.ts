/** The release, as package.json and CHANGELOG.md name it (a test compares them). */
export const VERSION = "0.1.0";
/** What -V prints, in the shape runit's scripts know. */
export const ID_LINE = "$Id: 24fd13168c5a51f956a82db6bdbff7543fa5b606 $\n";
