export function Component() { return <h1>Models</h1>; }
