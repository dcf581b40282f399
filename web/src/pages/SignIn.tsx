export function Component() { return <h1>SignIn</h1>; }
