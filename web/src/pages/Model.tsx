export function Component() { return <h1>Model</h1>; }
