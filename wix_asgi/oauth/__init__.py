"""The calls to Wix's token endpoints: bounded, repeated, spared while Wix fails."""
