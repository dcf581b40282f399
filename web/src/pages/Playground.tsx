export function Component() { return <h1>Playground</h1>; }
