/** The path that the server put into `<base href>`: `/`, or `/prefix/` behind a proxy. */
export const basename = new URL(document.baseURI).pathname.replace(/\/$/, '');

/** An absolute address of the API, for code samples. */
export const origin = () => location.origin + basename;
